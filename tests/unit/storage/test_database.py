"""What is said where an SQLite database cannot be used: which file, and what to do about it."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio
from sqlalchemy import Connection, text

from esper.contracts.errors import RunStoreError
from esper.services.nissa.run_store import RunStore
from esper.storage import database
from esper.storage.database import Database, Keeping

KEEPING = Keeping(
    name="the store",
    unavailable=RunStoreError,
    bad_value=RunStoreError,
    if_damaged="move it away",
)


@pytest_asyncio.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Database]:
    one = Database(f"sqlite:///{tmp_path / 'one.db'}", KEEPING)
    yield one
    await one.close()


def write(connection: Connection) -> None:
    connection.execute(text("CREATE TABLE IF NOT EXISTS things (name TEXT)"))


@pytest.mark.asyncio
async def test_a_file_that_is_no_database_is_damaged(opened: Database) -> None:
    opened.file.write_bytes(b"x" * 8192)
    with pytest.raises(RunStoreError, match=r"the store /.*one\.db is damaged, .*: move it away"):
        await opened.transact(write, writes=True)


@pytest.mark.asyncio
async def test_a_file_in_no_folder_or_that_is_one_cannot_be_opened(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere" / "one.db"):
        one = Database(f"sqlite:///{path}", KEEPING)
        with pytest.raises(
            RunStoreError, match=f"{path} cannot be opened: it must be a file in a folder"
        ):
            await one.transact(write, writes=True)
        await one.close()


@pytest.mark.asyncio
async def test_a_locked_database_is_told_after_a_while(
    opened: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "WAIT_SECONDS", 0.01)
    await opened.transact(write, writes=True)
    other = sqlite3.connect(opened.file)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(RunStoreError, match=r"one\.db is held by another process"):
        await opened.transact(write, writes=True)
    other.close()
    await opened.transact(write, writes=True)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("SQLITE_READONLY_DIRECTORY", "may write to"),
        ("SQLITE_FULL", "the disk is full: make room"),
        ("SQLITE_IOERR_WRITE", "the disk fails"),
        ("SQLITE_CORRUPT_INDEX", "is damaged, .*: move it away"),
        ("SQLITE_TOOBIG", "cannot serve now"),
    ],
)
async def test_each_trouble_has_its_words(opened: Database, name: str, words: str) -> None:
    def fail(connection: Connection) -> None:
        error = sqlite3.OperationalError("trouble")
        error.sqlite_errorname = name
        raise error

    with pytest.raises(RunStoreError, match=words):
        await opened.transact(fail, writes=False)


@pytest.mark.asyncio
async def test_a_damaged_run_store_says_how_the_runs_come_back(tmp_path: Path) -> None:
    (tmp_path / "runs.db").write_bytes(b"x" * 8192)
    with pytest.raises(RunStoreError, match=r"runs\.db is damaged, .*`esper runs import"):
        await RunStore.open(f"sqlite:///{tmp_path / 'runs.db'}")


@pytest.mark.asyncio
async def test_callers_from_outside_are_told_no_file_but_who_opens_it_is(tmp_path: Path) -> None:
    one = Database(f"sqlite:///{tmp_path / 'one.db'}", replace(KEEPING, is_public=True))
    one.file.write_bytes(b"x" * 8192)
    with pytest.raises(RunStoreError, match=r"^the store cannot serve now"):
        await one.transact(write, writes=True)
    with pytest.raises(RunStoreError, match=r"one\.db is damaged"):
        await one.look()
    await one.close()


@pytest.mark.asyncio
@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
async def test_a_file_that_may_not_be_written_is_named(tmp_path: Path) -> None:
    file = tmp_path / "runs.db"
    await (await RunStore.open(f"sqlite:///{file}")).close()
    file.chmod(0o400)
    with pytest.raises(RunStoreError, match=r"runs\.db .*may write to"):
        await RunStore.open(f"sqlite:///{file}")


def test_a_store_that_cannot_be_opened_leaves_nothing_behind_that_speaks_later(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "runs.db").write_bytes(b"x" * 8192)
    with pytest.raises(RunStoreError):
        asyncio.run(RunStore.open(f"sqlite:///{tmp_path / 'runs.db'}"))
    assert "Traceback" not in capfd.readouterr().err
