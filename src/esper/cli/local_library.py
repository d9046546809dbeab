"""The library on this machine: its settings, and work on its stores without a server."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from esper.cli.lazy import later
from esper.cli.options import refuse
from esper.contracts.enums import Role
from esper.contracts.errors import AccessDeniedError, LibraryUnavailableError
from esper.contracts.library import (
    AuditEntry,
    GarbageReport,
    IssuedToken,
    Page,
    TokenRecord,
    TokenRequest,
)
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


@dataclass(frozen=True)
class OwnLibrary:
    """The library on this machine, without a server; asked in the words of `UrzaClient`."""

    runner: asyncio.Runner
    stores: kernel_library.Library
    grace_seconds: float

    def collect_garbage(self, *, grace_seconds: float | None, dry_run: bool) -> GarbageReport:
        """Remove blobs that no kernel refers to, or only count them."""
        grace = self.grace_seconds if grace_seconds is None else grace_seconds
        return self.runner.run(self.stores.garbage.collect(LOCAL, grace, dry_run))

    def audit(self, *, cursor: str | None, limit: int) -> Page[AuditEntry]:
        """Read a page of the audit log."""
        return self.runner.run(self.stores.audit.entries(cursor, limit))

    def verify_audit(self) -> int:
        """Check the whole audit log; returns how many entries it has."""
        return self.runner.run(self.stores.audit.verify())

    def issue_token(self, wanted: TokenRequest) -> IssuedToken:
        """Make a token."""
        return self.runner.run(self.stores.tokens.issue(LOCAL, wanted))

    def tokens(self, *, cursor: str | None, limit: int) -> Page[TokenRecord]:
        """Read a page of the tokens."""
        return self.runner.run(self.stores.tokens.list(cursor, limit))

    def revoke_token(self, token_id: str) -> None:
        """Take a token back."""
        self.runner.run(self.stores.tokens.revoke(LOCAL, token_id))

    def knows(self, secret: str) -> bool:
        """Whether a token is valid."""
        try:
            self.runner.run(self.stores.tokens.authenticate(secret))
        except AccessDeniedError:
            return False
        return True


@contextmanager
def own_library(folder: Path | None, *, make: bool = False) -> Iterator[OwnLibrary]:
    """Open the library on this machine, closed at the end of the block.

    Args:
        folder: Where it lies; None is the user's own.
        make: Make the library if it is not there; who only asks makes none.

    Raises:
        LibraryUnavailableError: Its stores are not there, cannot be reached, or are of another
            version.
    """
    config = settings(folder)
    if not make and is_missing(config):
        raise LibraryUnavailableError(
            f"there is no library at {config.database_url.partition(':///')[2]}: "
            "`esper urza serve` or `esper urza migrate` makes it, --urza URL asks another one"
        )
    with asyncio.Runner() as runner:
        stores = runner.run(kernel_library.Library.open(config, SystemClock()))
        try:
            yield OwnLibrary(runner, stores, config.gc_grace_seconds)
        finally:
            runner.run(stores.close())


@contextmanager
def asked_library(
    urza: str | None, folder: Path | None, *, make: bool = False
) -> Iterator[urza_client.UrzaClient | OwnLibrary]:
    """Open the library at an address, or without one, this machine's own.

    Raises:
        ConfigError: Both an address and a folder were typed.
        LibraryError: As `own_library`; or from what it is asked.
    """
    if urza is None:
        with own_library(folder, make=make) as own:
            yield own
        return
    refuse("--urza asks another library, which has a folder of its own", folder=folder)
    with library_access.library(urza) as client:
        yield client


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
    with own_library(folder / "urza", make=True) as library:
        for path, roles in wanted.items():
            kept = path.read_text(encoding="utf-8").strip() if path.exists() else ""
            if not library.knows(kept):
                request = TokenRequest(name=path.stem, roles=roles, days=_DAYS)
                write_private(path, library.issue_token(request).secret)
