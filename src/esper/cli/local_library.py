"""The library on this machine: its settings, and work on its stores without a server."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Final, TypeVar

from esper.cli.lazy import later
from esper.cli.options import refuse
from esper.contracts.enums import Role
from esper.contracts.errors import AccessDeniedError, LibraryUnavailableError
from esper.contracts.library import TokenRequest
from esper.hosting.platform_plan import forge_token, trainer_token
from esper.hosting.private_file import write_private
from esper.services.urza.urza_config import UrzaConfig
from esper.utils.clock import SystemClock
from esper.utils.home import data_home

with later():
    from esper.hosting import library_access
    from esper.services.urza import kernel_library
    from esper.services.urza.client import urza_client

LOCAL: Final = "local"
"""Who the audit log names for the command line on the library's own machine."""
_DAYS: Final = 3650.0
"""Longer than any platform runs: a token that ends would end its work. `token revoke` takes it."""

Result = TypeVar("Result")


def settings(
    folder: Path | None, *, host: str | None = None, port: int | None = None
) -> UrzaConfig:
    """The library's settings: the environment's, with what was typed in their place.

    Raises:
        ConfigError: a setting is unknown or wrong.
    """
    config = UrzaConfig.from_environment(os.environ, folder or data_home() / "urza")
    if host is not None:
        config = replace(config, host=host)
    return config if port is None else replace(config, port=port)


def is_missing(config: UrzaConfig) -> bool:
    """Whether the library's database is a file that is not there."""
    prefix, _, path = config.database_url.partition(":///")
    return prefix == "sqlite" and not Path(path).exists()


def with_library(
    folder: Path | None,
    work: Callable[[kernel_library.Library], Awaitable[Result]],
    *,
    make: bool = False,
) -> Result:
    """Open the library on this machine, work on it, and close it.

    Args:
        folder: Where it lies; None is the user's own.
        work: Given the library.
        make: Make the library if it is not there; who only asks makes none.

    Raises:
        LibraryUnavailableError: its stores are not there, cannot be reached, or are of another
            version.
    """
    config = settings(folder)
    if not make and is_missing(config):
        raise LibraryUnavailableError(
            f"there is no library at {config.database_url.partition(':///')[2]}: "
            "`esper urza serve` or `esper urza migrate` makes it, --urza URL asks another one"
        )

    async def opened() -> Result:
        library = await kernel_library.Library.open(config, SystemClock())
        try:
            return await work(library)
        finally:
            await library.close()

    return asyncio.run(opened())


def ask(
    urza: str | None,
    folder: Path | None,
    remote: Callable[[urza_client.UrzaClient], Result],
    local: Callable[[kernel_library.Library], Awaitable[Result]],
    *,
    make: bool = False,
) -> Result:
    """Ask the library at an address, or without one, work on this machine's own.

    Args:
        urza: The address.
        folder: Where this machine's library lies.
        remote: Given the client, where there is an address.
        local: Given the library, where there is none.
        make: As in `with_library`.

    Raises:
        ConfigError: both an address and a folder were typed.
        LibraryError: the library refused, or cannot be reached.
    """
    if urza is None:
        return with_library(folder, local, make=make)
    refuse("--urza asks another library, which has a folder of its own", folder=folder)
    with library_access.library(urza) as client:
        return remote(client)


def issue_tokens(folder: Path) -> None:
    """Make the tokens with which a platform's own forge, and trainers, work with its library.

    Only those that the library does not know, or no longer. Makes the library, too.

    Args:
        folder: The platform's.

    Raises:
        LibraryError: The library's stores cannot be reached.
        PlatformError: A token cannot be written down.
    """
    wanted = {
        # It submits what trainers ask for over the bus, and builds it.
        forge_token(folder): (Role.COMPILER, Role.TRAINER),
        trainer_token(folder): (Role.TRAINER,),
    }
    kept = {path: path.read_text(encoding="utf-8") if path.exists() else "" for path in wanted}

    async def issued(library: kernel_library.Library) -> None:
        for path, roles in wanted.items():
            if not await _is_valid(library, kept[path]):
                request = TokenRequest(name=path.stem, roles=roles, days=_DAYS)
                token = await library.tokens.issue(LOCAL, request)
                write_private(path, token.secret)

    with_library(folder / "urza", issued, make=True)


async def _is_valid(library: kernel_library.Library, secret: str) -> bool:
    try:
        await library.tokens.authenticate(secret.strip())
    except AccessDeniedError:
        return False
    return True
