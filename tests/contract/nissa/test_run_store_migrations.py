"""The run store's migrations go up and down, and a store is brought up to date by opening it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import text

from esper.contracts.errors import RunStoreError
from esper.services.nissa.run_store import RunStore
from esper.services.nissa.schema import KEEPING
from esper.services.nissa.schema import SCHEMA
from esper.services.nissa.tables import METADATA
from esper.storage.database import Database
from esper.storage.schema import BASE
from support import logged_runs
from support.run_deliveries import contents
from support.run_deliveries import delivery

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


async def _fill(url: str) -> None:
    store = await RunStore.open(url)
    await store.append([delivery(logged_runs.lines())])
    await store.close()


async def test_the_tables_are_what_the_code_expects(empty_store_url: str) -> None:
    database = Database(empty_store_url, KEEPING)
    await SCHEMA.upgrade(database)
    assert await SCHEMA.differences(database) == []
    assert await SCHEMA.current(database) == SCHEMA.latest() == REVISIONS[-1]
    await database.close()


async def test_a_difference_between_tables_and_code_is_noticed(empty_store_url: str) -> None:
    database = Database(empty_store_url, KEEPING)
    await SCHEMA.upgrade(database)
    async with database.writing() as connection:
        await connection.execute(text("ALTER TABLE runs ADD COLUMN surplus INTEGER"))
        await connection.commit()
    assert "surplus" in str(await SCHEMA.differences(database))
    await database.close()


@pytest.mark.parametrize("revision", REVISIONS)
async def test_data_survive_a_way_down_and_up_again(empty_store_url: str, revision: str) -> None:
    await _fill(empty_store_url)
    database = Database(empty_store_url, KEEPING)
    before = await _rows(database)
    await SCHEMA.downgrade(database, revision)
    assert await SCHEMA.current(database) == revision
    await SCHEMA.upgrade(database)
    assert await _rows(database) == before
    assert await SCHEMA.differences(database) == []
    await database.close()


async def test_all_the_way_down_leaves_nothing_and_opening_makes_it_anew(
    empty_store_url: str,
) -> None:
    await _fill(empty_store_url)
    database = Database(empty_store_url, KEEPING)
    await SCHEMA.downgrade(database, BASE)
    assert await SCHEMA.current(database) is None
    await database.close()
    await _fill(empty_store_url)


async def test_a_store_of_a_newer_version_is_refused_and_left_as_it_is(
    empty_store_url: str,
) -> None:
    await _fill(empty_store_url)
    database = Database(empty_store_url, KEEPING)
    async with database.writing() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        await connection.commit()
    with pytest.raises(RunStoreError, match="revision 9999"):
        await RunStore.open(empty_store_url)
    assert await SCHEMA.current(database) == "9999"
    await database.close()


async def test_several_may_open_a_new_store_at_once(empty_store_url: str) -> None:
    stores = await asyncio.gather(*(RunStore.open(empty_store_url) for _ in range(4)))
    batch = delivery(logged_runs.lines())
    new = await asyncio.gather(*(store.append([batch]) for store in stores))
    assert sorted(map(len, new)) == [0, 0, 0, len(logged_runs.lines())]
    found = [await contents(store, "run-1") for store in stores]
    assert all(one == found[0] for one in found)
    for store in stores:
        await store.close()
