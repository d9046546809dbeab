"""Schema: a service's tables, which step of its migrations a database is at, and moving it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, MetaData, inspect, text

from esper.contracts.errors import ConfigError
from esper.storage.database import Database

NAMING: Final = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
"""Names of indexes and constraints. They stand in databases that are there: it does not change."""

HEAD: Final = "head"
BASE: Final = "base"

_MIGRATING: Final = 0x4573706572
"""Lock of PostgreSQL that whoever migrates holds, so that two who begin at once take turns."""

_ALEMBIC: Final = threading.Lock()
"""Held while Alembic works: what it works on stands in variables of its modules."""

_TURN_SECONDS: Final = 0.01


@dataclass(frozen=True, kw_only=True)
class Schema:
    """The tables of one service."""

    metadata: MetaData
    """As the code expects them."""
    migrations: ModuleType
    """Package with the steps that lead there, and an `env.py` that calls `migrate.run`."""

    def scripts(self) -> ScriptDirectory:
        """Return the steps."""
        return ScriptDirectory.from_config(self._config(None))

    def latest(self) -> str:
        """Return the revision that this version of the package needs."""
        revision = self.scripts().get_current_head()
        assert revision is not None
        return revision

    async def current(self, database: Database) -> str | None:
        """Return the database's revision; None where there is none.

        Raises:
            EsperError: The database cannot be reached.
        """
        return await database.transact(_revision, writes=False)

    async def is_empty(self, database: Database) -> bool:
        """Return whether the database holds no table at all.

        Raises:
            EsperError: The database cannot be reached.
        """
        return not await database.transact(lambda c: inspect(c).get_table_names(), writes=False)

    async def upgrade(self, database: Database, revision: str = HEAD) -> None:
        """Bring the tables up to `revision`, in one transaction.

        Raises:
            EsperError: The database cannot be reached.
        """
        await self._migrate(database, lambda config: command.upgrade(config, revision))

    async def downgrade(self, database: Database, revision: str) -> None:
        """Bring the tables back down to `revision`, in one transaction; `base` removes all.

        Raises:
            ConfigError: There is no such revision.
            EsperError: The database cannot be reached.
        """
        try:
            await self._migrate(database, lambda config: command.downgrade(config, revision))
        except CommandError as error:
            raise ConfigError(f"no way back to revision {revision!r}: {error}") from error

    async def _migrate(self, database: Database, step: Callable[[Config], None]) -> None:
        def move(connection: Connection) -> None:
            if not database.is_sqlite:
                connection.execute(text(f"SELECT pg_advisory_xact_lock({_MIGRATING})"))
            step(self._config(connection))

        # Whoever holds it may be in this event loop, which must therefore go on.
        while not _ALEMBIC.acquire(blocking=False):  # noqa: ASYNC110 held for milliseconds
            await asyncio.sleep(_TURN_SECONDS)
        try:
            await database.transact(move, writes=True)
        finally:
            _ALEMBIC.release()

    def _config(self, connection: Connection | None) -> Config:
        folder = self.migrations.__file__
        assert folder is not None
        config = Config()
        config.set_main_option("script_location", str(Path(folder).parent))
        config.attributes["connection"] = connection
        config.attributes["metadata"] = self.metadata
        return config


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()
