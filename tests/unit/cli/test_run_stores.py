from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from esper.cli.run_stores import has_none_yet, open_store
from esper.contracts.errors import RunStoreError
from esper.contracts.runs import RunSummary


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ESPER_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ESPER_RUN_STORE", raising=False)
    return tmp_path


def listed(url: str | None, *, make: bool = False) -> Sequence[RunSummary]:
    async def read() -> Sequence[RunSummary]:
        async with open_store(url, make=make) as store:
            return await store.runs()

    return asyncio.run(read())


def test_who_only_reads_makes_no_store_of_ones_own(home: Path) -> None:
    assert has_none_yet(None)
    with pytest.raises(RunStoreError, match="esper runs import"):
        listed(None)
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("by", ["option", "variable"])
def test_a_path_that_was_mistyped_is_told_and_makes_nothing(
    home: Path, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    url = f"sqlite:///{home / 'folder' / 'rusn.db'}"
    if by == "variable":
        monkeypatch.setenv("ESPER_RUN_STORE", url)
    given = url if by == "option" else None
    assert not has_none_yet(given)
    with pytest.raises(RunStoreError, match=r"rusn\.db"):
        listed(given)
    assert list(home.iterdir()) == []


def test_who_writes_makes_the_store(home: Path) -> None:
    url = f"sqlite:///{home / 'runs.db'}"
    assert list(listed(url, make=True)) == []
    assert list(listed(url)) == []
    assert not has_none_yet(url)
