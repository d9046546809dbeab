"""Reading files that came from elsewhere: regular ones only, and no more than is wanted."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO


def open_plain(path: Path, *, pipes: bool = False) -> BinaryIO:
    """Open a file to read it.

    Args:
        path: The file.
        pipes: Whether a pipe or a device will do, as a shell gives for `<(...)`; it is waited for.

    Raises:
        OSError: It cannot be opened, or is a pipe, a device or a folder, which is not waited for.
    """
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | (0 if pipes else os.O_NONBLOCK))
    mode = os.fstat(file).st_mode
    if stat.S_ISREG(mode) or (pipes and not stat.S_ISDIR(mode)):
        return os.fdopen(file, "rb")
    os.close(file)
    raise OSError(errno.EINVAL, "is no regular file", str(path))


def read_plain(path: Path, most: int, *, pipes: bool = False) -> bytes:
    """Return what is in a file.

    Args:
        path: The file.
        most: Greatest length, bytes.
        pipes: As for `open_plain`.

    Raises:
        OSError: As `open_plain`, or there is more in it.
    """
    with open_plain(path, pipes=pipes) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise OSError(errno.EFBIG, f"has more than {most:,} bytes", str(path))
    return data
