"""Reading a file that somebody else may have put there: regular, and no longer than it may be."""

from __future__ import annotations

import errno
import io
import os
import stat
from pathlib import Path


def read_bounded(path: Path, max_bytes: int, *, special: bool = False) -> bytes:
    """Return what a file holds; neither a pipe nor a device nor an endless file holds the reader up.

    Args:
        path: The file.
        max_bytes: Greatest length, in bytes.
        special: Whether a pipe will do, as a shell gives for `<(...)` and `/dev/stdin`.

    Raises:
        OSError: It cannot be read, is no regular file, or is too long; `strerror` says which.
    """
    with open_regular(path, special=special) as file:
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise OSError(
            errno.EFBIG, f"it is longer than the {max_bytes:,} bytes that it may have", str(path)
        )
    return data


def open_regular(path: Path, *, special: bool = False) -> io.BufferedReader:
    """Open a file for reading if it is a regular one.

    Raises:
        OSError: It cannot be opened, or is no regular file; `strerror` says which.
    """
    # Without waiting: opening a pipe that nobody writes into would never return.
    waiting = 0 if special else getattr(os, "O_NONBLOCK", 0)
    descriptor = os.open(path, os.O_RDONLY | waiting)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISDIR(mode) or not (special or stat.S_ISREG(mode)):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    return os.fdopen(descriptor, "rb")
