"""Schema: which step of the migrations a database is at, and moving it up and down."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy import inspect

from esper.contracts.errors import LibraryUnavailableError
from esper.services.urza import migrations
from esper.services.urza.database import Database
from esper.services.urza.tables import METADATA

HEAD: Final = "head"
BASE: Final = "base"


def latest() -> str:
    """Return the revision that this version of the package needs."""
    revision = ScriptDirectory.from_config(_config(None)).get_current_head()
    assert revision is not None
    return revision


async def current(database: Database) -> str | None:
    """Return the database's revision; None where there is none.

    Raises:
        LibraryUnavailableError: It cannot be reached.
    """
    async with database.reading() as connection:
        return await connection.run_sync(_revision)


async def upgrade(database: Database, revision: str = HEAD) -> None:
    """Bring the tables up to `revision`, in one transaction.

    Raises:
        LibraryUnavailableError: The database cannot be reached.
    """
    await _migrate(database, lambda config: command.upgrade(config, revision))


async def downgrade(database: Database, revision: str) -> None:
    """Bring the tables back down to `revision`, in one transaction; `base` removes all.

    Raises:
        LibraryUnavailableError: The database cannot be reached.
    """
    await _migrate(database, lambda config: command.downgrade(config, revision))


async def differences(database: Database) -> list[str]:
    """Return how the tables differ from what the code expects; `alembic check` in words."""

    def compare(connection: Connection) -> list[str]:
        options = {"compare_type": True, "compare_server_default": True}
        context = MigrationContext.configure(connection, opts=options)
        return [str(difference) for difference in compare_metadata(context, METADATA)]

    async with database.reading() as connection:
        return await connection.run_sync(compare)


async def require_latest(database: Database) -> None:
    """Refuse a database that this version does not fit; an empty SQLite file is filled first.

    Raises:
        LibraryUnavailableError: The database is at another revision, or cannot be reached.
    """
    async with database.reading() as connection:
        revision = await connection.run_sync(_revision)
        empty = not await connection.run_sync(lambda c: inspect(c).get_table_names())
    if database.is_sqlite and empty:
        await upgrade(database)
        return
    if revision != latest():
        raise LibraryUnavailableError(
            f"the library's database is at revision {revision or 'none'}, this version needs "
            f"{latest()}; make a backup and run `esper urza migrate`"
        )


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


async def _migrate(database: Database, step: Callable[[Config], None]) -> None:
    async with database.writing() as connection:
        await connection.run_sync(lambda c: step(_config(c)))
        await connection.commit()


def _config(connection: Connection | None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.attributes["connection"] = connection
    return config
