"""Every service's migrations go up and down with data in the tables, on both databases."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import ProgrammingError

from esper.services.nissa import run_tables as nissa
from esper.services.nissa.run_store import RunStore
from esper.services.urza import kernel_library as urza
from esper.services.urza.kernel_library import Library
from esper.services.urza.urza_config import UrzaConfig
from esper.storage.database import Database, Keeping
from esper.storage.schema import BASE, Schema
from support import logged_runs
from support.clocks import StillClock
from support.run_deliveries import delivery, read
from support.stored import ACTOR, build, kernel_file, outcome, register

pytestmark = pytest.mark.asyncio


async def _fill_library(url: str, folder: Path) -> None:
    config = UrzaConfig(database_url=url, blobs=f"file://{folder / 'blobs'}")
    library = await Library.open(config, StillClock())
    kernel_id = str((await build(library)).metadata.kernel_id)
    await register(library, kernel_file(1), blueprint_id="bp-1", tags={"task": "toy"})
    await library.aliases.put(ACTOR, "fc@production", kernel_id, None)
    await library.outcomes.add(ACTOR, outcome(kernel_id, "r1", 0.25))
    await library.close()


async def _fill_store(url: str, _folder: Path) -> None:
    store = await RunStore.open(url)
    await store.append(read([delivery(logged_runs.lines())]))
    await store.close()


@dataclass(frozen=True)
class Service:
    """A service that keeps something in a database."""

    schema: Schema
    keeping: Keeping
    fill: Callable[[str, Path], Awaitable[None]]
    """Puts something into the tables at the latest revision."""
    filled: tuple[str, ...]
    """Tables that have rows then, in the order in which they are made."""

    @property
    def revisions(self) -> list[str]:
        scripts = self.schema.scripts().walk_revisions()
        return [script.revision for script in reversed(list(scripts))]

    def database(self, url: str) -> Database:
        return Database(url, self.keeping)

    async def rows(self, database: Database) -> Mapping[str, list[tuple[Any, ...]]]:
        async with database.reading() as connection:
            return {
                table.name: sorted(
                    map(tuple, (await connection.execute(table.select())).all()), key=str
                )
                for table in self.schema.metadata.sorted_tables
            }


async def _differences(schema: Schema, database: Database) -> list[str]:
    """How the tables differ from what the code expects; `alembic check` in words."""

    def compare(connection: Connection) -> list[str]:
        options = {"compare_type": True, "compare_server_default": True}
        context = MigrationContext.configure(connection, opts=options)
        return [str(difference) for difference in compare_metadata(context, schema.metadata)]

    return await database.transact(compare, writes=False)


LIBRARY = Service(
    schema=urza.SCHEMA,
    keeping=urza.KEEPING,
    fill=_fill_library,
    filled=("audit", "kernels", "aliases", "builds", "outcomes"),
)
STORE = Service(
    schema=nissa.SCHEMA, keeping=nissa.KEEPING, fill=_fill_store, filled=("runs", "lines")
)
SERVICES = {"urza": LIBRARY, "nissa": STORE}
STEPS = [
    pytest.param(service, revision, id=f"{name}-{revision}")
    for name, service in SERVICES.items()
    for revision in service.revisions
]
of_each_service = pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)


@of_each_service
async def test_the_tables_are_what_the_code_expects(
    empty_database_url: str, service: Service
) -> None:
    database, schema = service.database(empty_database_url), service.schema
    assert await schema.is_empty(database)
    assert await schema.current(database) is None
    await schema.upgrade(database)
    assert not await schema.is_empty(database)
    assert await _differences(schema, database) == []
    assert await schema.current(database) == schema.latest() == service.revisions[-1]
    await database.close()


@of_each_service
async def test_a_difference_between_tables_and_code_is_noticed(
    empty_database_url: str, service: Service
) -> None:
    database, schema = service.database(empty_database_url), service.schema
    await schema.upgrade(database)
    async with database.writing() as connection:
        await connection.execute(text(f"ALTER TABLE {service.filled[0]} ADD COLUMN surplus INT"))
        await connection.commit()
    assert "surplus" in str(await _differences(schema, database))
    await database.close()


@pytest.mark.parametrize(("service", "revision"), STEPS)
async def test_data_survive_a_way_down_and_up_again(
    empty_database_url: str, tmp_path: Path, service: Service, revision: str
) -> None:
    database, schema = service.database(empty_database_url), service.schema
    await schema.upgrade(database)
    await service.fill(empty_database_url, tmp_path)
    before = await service.rows(database)
    assert all(before[name] for name in service.filled)
    await schema.downgrade(database, revision)
    assert await schema.current(database) == revision
    await schema.upgrade(database)
    assert await service.rows(database) == before
    assert await _differences(schema, database) == []
    await database.close()


@of_each_service
async def test_all_the_way_down_leaves_nothing(
    empty_database_url: str, tmp_path: Path, service: Service
) -> None:
    database, schema = service.database(empty_database_url), service.schema
    await schema.upgrade(database)
    await service.fill(empty_database_url, tmp_path)
    await schema.downgrade(database, BASE)
    assert await schema.current(database) is None
    await schema.upgrade(database)
    await service.fill(empty_database_url, tmp_path)
    await database.close()


@of_each_service
async def test_a_migration_that_fails_leaves_the_database_as_it_was(
    empty_database_url: str, service: Service
) -> None:
    database, schema = service.database(empty_database_url), service.schema
    # In the way of a table that the first migration makes after others.
    table = service.filled[-1]
    async with database.writing() as connection:
        await connection.execute(text(f"CREATE TABLE {table} (id INTEGER)"))
        await connection.commit()
    with pytest.raises((service.keeping.unavailable, ProgrammingError)):
        await schema.upgrade(database)
    assert await schema.current(database) is None
    async with database.reading() as connection:
        assert await connection.run_sync(lambda c: inspect(c).get_table_names()) == [table]
    await database.close()
