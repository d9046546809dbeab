from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from esper.cli.run_stores import with_store
from esper.contracts.errors import RunStoreError
from esper.contracts.runs import RunSummary
from esper.services.nissa.run_store import RunStore


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ESPER_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ESPER_RUN_STORE", raising=False)
    return tmp_path


async def listed(store: RunStore) -> Sequence[RunSummary]:
    return await store.runs()


def test_who_only_reads_makes_no_store_of_ones_own(home: Path) -> None:
    nothing: Sequence[RunSummary] = ()
    assert with_store(None, listed, missing=nothing) == ()
    with pytest.raises(RunStoreError, match="esper runs import"):
        with_store(None, listed)
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("by", ["option", "variable"])
def test_a_path_that_was_mistyped_is_told_and_makes_nothing(
    home: Path, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    url = f"sqlite:///{home / 'folder' / 'rusn.db'}"
    if by == "variable":
        monkeypatch.setenv("ESPER_RUN_STORE", url)
    nothing: Sequence[RunSummary] = ()
    with pytest.raises(RunStoreError, match=r"rusn\.db"):
        with_store(url if by == "option" else None, listed, missing=nothing)
    assert list(home.iterdir()) == []


def test_who_writes_makes_the_store(home: Path) -> None:
    url = f"sqlite:///{home / 'runs.db'}"
    assert list(with_store(url, listed, make=True)) == []
    assert list(with_store(url, listed)) == []
