"""Reading files that came from elsewhere: regular ones only, and no more than is wanted."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO


def open_plain(path: Path) -> BinaryIO:
    """Open a file to read it.

    Raises:
        OSError: It cannot be opened, or is a pipe, a device or a folder, which is not waited for.
    """
    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if stat.S_ISREG(os.fstat(file).st_mode):
        return os.fdopen(file, "rb")
    os.close(file)
    raise OSError(errno.EINVAL, "is no regular file", str(path))


def read_plain(path: Path, most: int) -> bytes:
    """Return what is in a file.

    Args:
        path: The file.
        most: Greatest length, bytes.

    Raises:
        OSError: As `open_plain`, or there is more in it.
    """
    with open_plain(path) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise OSError(errno.EFBIG, f"has more than {most} bytes", str(path))
    return data
