"""Writing a file so that there is at every instant either the old one or the new one, whole."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from esper.contracts.errors import CheckpointError
from esper.utils.home import private_folder


def write_durably(path: Path, data: bytes | memoryview) -> None:
    """Write `data` to a temporary name beside `path`, fsync it, rename it, fsync the folder.

    Only the user may read it: it is a record of theirs, and folders that are missing become theirs.

    Raises:
        CheckpointError: It could not be written; what was at `path` before is untouched.
    """
    # One fixed name: what a killed process left behind is overwritten by the next attempt.
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        private_folder(path.parent)
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        with suppress(OSError):  # there may be no such folder
            temporary.unlink(missing_ok=True)
        raise CheckpointError(
            f"'{path}' could not be written: {error.strerror or error}. It needs "
            f"{len(data) / 2**20:.1f} MiB{_free_space(path.parent)}. Make room or choose another "
            f"folder; the file that was there before is untouched."
        ) from error


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _free_space(folder: Path) -> str:
    try:
        return f", {shutil.disk_usage(folder).free / 2**20:.1f} MiB are free there"
    except OSError:
        return ""
