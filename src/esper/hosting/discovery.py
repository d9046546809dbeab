"""Discovery: how a trainer, or `esper status`, finds the platform that runs on this machine.

`esper up` writes `platform.json` into the user's folder for Esper, and holds a lock beside it for
as long as it lives. The operating system releases the lock however the process ends, so a file
whose lock is free is a stale one, and is ignored.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Final, Literal

from pydantic import ValidationError

from esper.contracts.base import Contract, Count, Moment, Name, Place, Positive, Several
from esper.contracts.errors import PlatformError
from esper.hosting.private_file import write_private
from esper.hosting.service import ServiceState
from esper.utils.home import data_home
from esper.utils.logging import get_logger

if sys.platform != "win32":
    import fcntl

FILE: Final = "platform.json"
LOCK: Final = "platform.lock"

_LOOK_SECONDS: Final = 1.0
"""Whoever looks for a platform holds the lock, too, for an instant: so long is it waited for."""

_log = get_logger("hosting.discovery")


class ServiceRecord(Contract):
    """One service of the platform."""

    name: Name
    """What it is: `bus`, `urza`, `tezzeret`, `nissa`."""
    state: ServiceState
    """Where it is."""
    address: Place
    """Where it answers; without secrets."""
    pid: Positive | None = None
    """Its process; None where it has none now."""
    restarts: Count = 0
    """How often it had to be started again."""
    since: Moment
    """When it came to its state, UTC."""


class Platform(Contract):
    """A platform that runs on this machine, and how to use it."""

    version: Literal[1] = 1
    """Version of this record."""
    pid: Positive
    """Process of `esper up`."""
    started_at: Moment
    """When it was started, UTC."""
    folder: Place
    """Where its data lies."""
    bus_url: Place | None
    """The bus, password included; None where services do not share one."""
    store_url: Place
    """The run store that its observer keeps."""
    urza_url: Place
    """The library."""
    nissa_url: Place
    """The observer, and its dashboard."""
    token_file: Place
    """File that holds a trainer's token for the library."""
    services: Several[ServiceRecord]
    """What runs, in the order in which it was started."""


def find(home: Path | None = None) -> Platform | None:
    """Return the platform that runs on this machine for this user, or None.

    Args:
        home: The user's folder for Esper; default `data_home()`.
    """
    home = home or data_home()
    try:
        if not (home / FILE).exists() or not _is_held(home / LOCK):
            return None
        return Platform.model_validate_json((home / FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        _log.warning("platform not found", file=str(home / FILE), why=str(error))
        return None


@contextmanager
def claimed(home: Path) -> Iterator[None]:
    """Be the one platform of this user, as long as the block lasts; its record goes at the end.

    Raises:
        PlatformError: Another one runs, or the folder cannot be written.
    """
    if sys.platform == "win32":
        raise PlatformError("esper up needs Linux or macOS; start the services one by one")
    try:
        home.mkdir(parents=True, exist_ok=True)
        lock = os.open(home / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise PlatformError(
            f"'{home}' cannot be written: {error.strerror}; set ESPER_HOME to a folder that can"
        ) from error
    try:
        if not _locked(lock):
            raise PlatformError(_taken(home))
        (home / FILE).unlink(missing_ok=True)  # of a platform that was killed
        try:
            yield
        finally:
            (home / FILE).unlink(missing_ok=True)
    finally:
        os.close(lock)


def write(home: Path, platform: Platform) -> None:
    """Put the record where `find` looks for it; only this user may read it.

    Raises:
        PlatformError: It could not be written.
    """
    write_private(home / FILE, platform.model_dump_json(indent=2))


def _is_held(path: Path) -> bool:
    """Whether a platform lives; those who look share the lock, so they do not see each other."""
    lock = os.open(path, os.O_RDWR)
    try:
        return not _flock(lock, shared=True)
    finally:
        os.close(lock)


def _locked(lock: int) -> bool:
    deadline = monotonic() + _LOOK_SECONDS
    while not _flock(lock):
        if monotonic() > deadline:
            return False
        sleep(0.05)
    return True


def _flock(lock: int, *, shared: bool = False) -> bool:
    """Take a lock, unless another has it; whether it was taken."""
    if sys.platform != "win32":
        try:
            fcntl.flock(lock, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def _taken(home: Path) -> str:
    running = find(home)
    who = "" if running is None else f" (process {running.pid}, dashboard {running.nissa_url})"
    return f"a platform runs already{who}; `esper status` shows it, and Ctrl-C or SIGTERM ends it"
