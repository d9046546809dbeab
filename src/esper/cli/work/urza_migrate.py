"""Brings a library's database to another revision of its tables."""

from __future__ import annotations

import asyncio
from pathlib import Path

from alembic.util import CommandError

from esper.cli.console import output
from esper.cli.exit_codes import ExitCode
from esper.cli.library_requests import UrzaMigrateRequest
from esper.cli.work.local_library import settings
from esper.contracts.errors import ConfigError
from esper.services.urza.kernel_library import open_database
from esper.services.urza.library_schema import SCHEMA
from esper.services.urza.urza_config import UrzaConfig
from esper.storage.database import Database


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
    if request.check and _is_missing(config):
        # Looking must not make it.
        return _report(None)
    database = open_database(config)
    try:
        before = await SCHEMA.current(database)
        if request.check:
            return _report(before)
        try:
            await _move(database, request.down)
        except CommandError as error:
            raise ConfigError(f"--down {request.down}: {error}") from error
        after = await SCHEMA.current(database)
        output().print(f"revision {before or 'none'} → {after or 'none'}", soft_wrap=True)
        return ExitCode.OK
    finally:
        await database.close()


def _is_missing(config: UrzaConfig) -> bool:
    prefix, _, path = config.database_url.partition(":///")
    return prefix == "sqlite" and not Path(path).exists()


def _report(revision: str | None) -> int:
    wanted = SCHEMA.latest()
    state = "current" if revision == wanted else f"this version needs {wanted}"
    output().print(f"revision {revision or 'none'}: {state}", soft_wrap=True)
    return ExitCode.OK if revision == wanted else ExitCode.FAILED


async def _move(database: Database, down: str | None) -> None:
    if down is not None:
        await SCHEMA.downgrade(database, down)
    else:
        await SCHEMA.upgrade(database)
