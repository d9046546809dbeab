"""The folders in which Esper keeps what is a user's, unless it is told otherwise.

What it keeps there is the user's alone: folders 0700, files 0600.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import platformdirs

_OTHERS: Final = 0o077
_OURS: Final = {
    *("bus", "claims", "compiled", "data", "kernels", "logs", "platform.json", "platform.lock"),
    *("runs.db", "runs.db-shm", "runs.db-wal", "secrets", "urza"),
}
"""What stands in a home of ours."""


def data_home(environ: Mapping[str, str] | None = None) -> Path:
    """Return `$ESPER_HOME`, or the user's data folder for Esper where that is not set."""
    return _named(environ) or platformdirs.user_data_path("esper")


def cache_home(environ: Mapping[str, str] | None = None) -> Path:
    """Return `$ESPER_HOME`, or the user's cache folder: for what can be had again."""
    return _named(environ) or platformdirs.user_cache_path("esper")


def private_folder(path: Path) -> Sequence[Path]:
    """Make a folder, and those above it that are missing, for this user alone.

    Returns:
        Those that were made, the outermost first.

    Raises:
        OSError: It cannot be made.
    """
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    missing.reverse()
    for folder in missing:
        folder.mkdir(mode=0o700, exist_ok=True)
    path.mkdir(exist_ok=True)  # raises where something else stands there
    return missing


def keep_private(environ: Mapping[str, str] | None = None) -> None:
    """Keep from others what this process makes, and what earlier versions left open to them.

    A folder that `ESPER_HOME` names may hold other things as well: of such a one only what is
    Esper's is shut.
    """
    os.umask(os.umask(_OTHERS) | _OTHERS)
    for home in {data_home(environ), cache_home(environ)}:
        with suppress(OSError):  # not there yet, or another's: then there is nothing to shut
            entries = {entry.name for entry in home.iterdir()}
            if entries and entries <= _OURS:
                _shut(home)
            for name in entries & _OURS:
                _shut(home / name)


def _shut(path: Path) -> None:
    found = path.lstat()
    mode = stat.S_IMODE(found.st_mode)
    owner = os.getuid() if sys.platform != "win32" else found.st_uid
    if found.st_uid == owner and not stat.S_ISLNK(found.st_mode) and mode & _OTHERS:
        path.chmod(mode & ~_OTHERS)


def _named(environ: Mapping[str, str] | None) -> Path | None:
    home = (os.environ if environ is None else environ).get("ESPER_HOME")
    return Path(home).expanduser() if home else None
