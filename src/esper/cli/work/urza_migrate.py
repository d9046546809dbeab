"""Brings a library's database to another revision of its tables."""

from __future__ import annotations

import asyncio

from alembic.util import CommandError

from esper.cli.console import output
from esper.cli.exit_codes import ExitCode
from esper.cli.library_requests import UrzaMigrateRequest
from esper.cli.work.local_library import settings
from esper.contracts.errors import ConfigError
from esper.services.urza import schema
from esper.services.urza.database import Database
from esper.services.urza.library import open_database


def run(request: UrzaMigrateRequest) -> int:
    """Carry out `esper urza migrate`.

    Returns:
        `ExitCode.FAILED` if `--check` finds something to do.

    Raises:
        ConfigError: a setting is wrong, or there is no such revision.
        LibraryUnavailableError: the database cannot be reached.
    """
    return asyncio.run(_run(request))


async def _run(request: UrzaMigrateRequest) -> int:
    config = settings(request.folder)
    database = open_database(config)
    try:
        before, wanted = await schema.current(database), schema.latest()
        if request.check:
            state = "current" if before == wanted else f"this version needs {wanted}"
            output().print(f"revision {before or 'none'}: {state}", soft_wrap=True)
            return ExitCode.OK if before == wanted else ExitCode.FAILED
        try:
            await _move(database, request.down)
        except CommandError as error:
            raise ConfigError(f"--down {request.down}: {error}") from error
        after = await schema.current(database)
        output().print(f"revision {before or 'none'} → {after or 'none'}", soft_wrap=True)
        return ExitCode.OK
    finally:
        await database.close()


async def _move(database: Database, down: str | None) -> None:
    if down is not None:
        await schema.downgrade(database, down)
    else:
        await schema.upgrade(database)
