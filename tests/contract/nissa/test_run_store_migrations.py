"""A run store is brought up to date by opening it."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import text

from esper.contracts.enums import AlertRule, Severity
from esper.contracts.errors import RunStoreError
from esper.contracts.platform_events import Alert
from esper.services.nissa.run_store import RunStore
from esper.services.nissa.run_tables import KEEPING, SCHEMA
from esper.storage.database import Database
from support import logged_runs
from support.run_deliveries import contents, delivery, read

pytestmark = pytest.mark.asyncio

ALERT = Alert(
    alert_id="a",
    rule=AlertRule.LOSS_SPIKE,
    severity=Severity.WARNING,
    subject="",
    message="the loss jumped",
)


async def test_a_store_of_a_newer_version_is_refused_and_left_as_it_is(
    empty_database_url: str,
) -> None:
    await (await RunStore.open(empty_database_url)).close()
    database = Database(empty_database_url, KEEPING)
    async with database.writing() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        await connection.commit()
    with pytest.raises(RunStoreError, match="revision 9999"):
        await RunStore.open(empty_database_url)
    assert await SCHEMA.current(database) == "9999"
    await database.close()


async def test_several_may_open_a_new_store_at_once(empty_database_url: str) -> None:
    stores = await asyncio.gather(*(RunStore.open(empty_database_url) for _ in range(4)))
    batch = delivery(logged_runs.lines())
    new = await asyncio.gather(*(store.append(read([batch])) for store in stores))
    assert sorted(map(len, new)) == [0, 0, 0, len(logged_runs.lines())]
    found = [await contents(store, "run-1") for store in stores]
    assert all(one == found[0] for one in found)
    for store in stores:
        await store.close()


async def test_alerts_of_a_store_of_the_first_version_can_be_acknowledged(
    empty_database_url: str,
) -> None:
    store = await RunStore.open(empty_database_url)
    await store.save(ALERT)
    await store.close()
    database = Database(empty_database_url, KEEPING)
    async with database.writing() as connection:
        await connection.execute(text("ALTER TABLE alerts DROP COLUMN acknowledged"))
        await connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
        await connection.commit()
    await database.close()
    store = await RunStore.open(empty_database_url)
    assert list(await store.alerts()) == [ALERT]
    assert (await store.acknowledge("a", "ada")).acknowledged is not None
    await store.close()
