"""Each migration goes up and down with data in the tables, on both databases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from esper.contracts.errors import LibraryUnavailableError
from esper.services.urza.config import UrzaConfig
from esper.services.urza.library import Library
from esper.services.urza.schema import KEEPING
from esper.services.urza.schema import SCHEMA
from esper.services.urza.tables import METADATA
from esper.storage.database import Database
from esper.storage.schema import BASE
from support.clocks import StillClock
from support.stored import ACTOR
from support.stored import build
from support.stored import kernel_file
from support.stored import outcome
from support.stored import register

pytestmark = pytest.mark.asyncio

REVISIONS = [script.revision for script in reversed(list(SCHEMA.scripts().walk_revisions()))]


async def _rows(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    async with database.reading() as connection:
        return {
            table.name: sorted(
                map(tuple, (await connection.execute(table.select())).all()), key=str
            )
            for table in METADATA.sorted_tables
        }


async def _fill(url: str, folder: Path) -> None:
    """Put something into every table that a migration could spoil."""
    config = UrzaConfig(database_url=url, blobs=f"file://{folder / 'blobs'}")
    library = await Library.open(config, StillClock())
    kernel_id = str((await build(library)).metadata.kernel_id)
    await register(library, kernel_file(1), blueprint_id="bp-1", tags={"task": "toy"})
    await library.aliases.put(ACTOR, "fc@production", kernel_id, None)
    await library.outcomes.add(ACTOR, outcome(kernel_id, "r1", 0.25))
    await library.close()


async def test_the_tables_are_what_the_code_expects(empty_database_url: str) -> None:
    database = Database(empty_database_url, KEEPING)
    await SCHEMA.upgrade(database)
    assert await SCHEMA.differences(database) == []
    assert await SCHEMA.current(database) == SCHEMA.latest() == REVISIONS[-1]
    await database.close()


async def test_a_difference_between_tables_and_code_is_noticed(empty_database_url: str) -> None:
    database = Database(empty_database_url, KEEPING)
    await SCHEMA.upgrade(database)
    async with database.writing() as connection:
        await connection.execute(text("ALTER TABLE tokens ADD COLUMN surplus INTEGER"))
        await connection.commit()
    assert "surplus" in str(await SCHEMA.differences(database))
    await database.close()


@pytest.mark.parametrize("revision", REVISIONS)
async def test_data_survive_a_way_down_and_up_again(
    empty_database_url: str, tmp_path: Path, revision: str
) -> None:
    database = Database(empty_database_url, KEEPING)
    await SCHEMA.upgrade(database)
    await _fill(empty_database_url, tmp_path)
    before = await _rows(database)
    assert all(before[name] for name in ("kernels", "builds", "aliases", "outcomes", "audit"))
    await SCHEMA.downgrade(database, revision)
    assert await SCHEMA.current(database) == revision
    await SCHEMA.upgrade(database)
    assert await _rows(database) == before
    assert await SCHEMA.differences(database) == []
    await database.close()


async def test_all_the_way_down_leaves_nothing(empty_database_url: str, tmp_path: Path) -> None:
    database = Database(empty_database_url, KEEPING)
    await SCHEMA.upgrade(database)
    await _fill(empty_database_url, tmp_path)
    await SCHEMA.downgrade(database, BASE)
    assert await SCHEMA.current(database) is None
    await SCHEMA.upgrade(database)
    await _fill(empty_database_url, tmp_path)
    await database.close()


async def test_a_migration_that_fails_leaves_the_database_as_it_was(
    empty_database_url: str,
) -> None:
    database = Database(empty_database_url, KEEPING)
    async with database.writing() as connection:
        # In the way of the first migration's last table.
        await connection.execute(text("CREATE TABLE outcomes (id INTEGER)"))
        await connection.commit()
    with pytest.raises(Exception, match=r"outcomes|ProgrammingError|OperationalError"):
        await SCHEMA.upgrade(database)
    async with database.reading() as connection:
        with pytest.raises(Exception, match="kernels"):
            await connection.execute(text("SELECT * FROM kernels"))
    await database.close()


async def test_a_database_at_another_revision_is_refused(
    empty_database_url: str, tmp_path: Path
) -> None:
    database = Database(empty_database_url, KEEPING)
    await SCHEMA.upgrade(database, REVISIONS[0])
    await database.close()
    config = UrzaConfig(database_url=empty_database_url, blobs=f"file://{tmp_path}")
    with pytest.raises(LibraryUnavailableError, match="esper urza migrate"):
        await Library.open(config, StillClock())


async def test_an_empty_postgres_is_refused_and_an_empty_file_is_filled(
    empty_database_url: str, tmp_path: Path
) -> None:
    config = UrzaConfig(database_url=empty_database_url, blobs=f"file://{tmp_path}")
    if empty_database_url.startswith("postgresql"):
        with pytest.raises(LibraryUnavailableError, match="revision none"):
            await Library.open(config, StillClock())
        return
    library = await Library.open(config, StillClock())
    await library.check()
    await library.close()
