"""A database that cannot be used is named, with what to do about it."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from esper.contracts.errors import RunStoreError
from esper.services.nissa.run_store import RunStore
from esper.storage import database


async def refusal(file: Path) -> str:
    with pytest.raises(RunStoreError) as caught:
        await RunStore.open(f"sqlite:///{file}")
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.asyncio
async def test_a_damaged_file_is_no_matter_of_trying_again(tmp_path: Path) -> None:
    file = tmp_path / "runs.db"
    file.write_bytes(b"\xff" * 20_000)
    said = await refusal(file)
    assert "is damaged" in said
    assert "move it away" in said
    assert "try again" not in said


@pytest.mark.asyncio
async def test_a_folder_in_its_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "runs.db").mkdir()
    assert "may write to" in await refusal(tmp_path / "runs.db")


@pytest.mark.asyncio
@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
async def test_a_file_that_may_not_be_written_is_named(tmp_path: Path) -> None:
    file = tmp_path / "runs.db"
    await (await RunStore.open(f"sqlite:///{file}")).close()
    file.chmod(0o400)
    assert "may write to" in await refusal(file)


@pytest.mark.asyncio
async def test_a_file_that_another_process_holds_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "WAIT_SECONDS", 0.05)
    file = tmp_path / "runs.db"
    holder = sqlite3.connect(file)
    holder.execute("BEGIN EXCLUSIVE")
    try:
        assert "is held by another process" in await refusal(file)
    finally:
        holder.close()
