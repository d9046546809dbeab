"""Reading files that came from elsewhere: regular ones only, and no more than is wanted."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO, Final, TypeVar

from pydantic import TypeAdapter, ValidationError

from esper.contracts.errors import RunFolderError
from esper.utils import strict_json

Record = TypeVar("Record")

MOST_GRAPH: Final = 2**24
"""Bytes of a graph's JSON, far above what the limits of a graph let pass."""


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


def read_record(path: Path, kind: type[Record], *, most: int = 2**20) -> Record:
    """Read a JSON file of a run folder, strictly.

    Args:
        path: The file.
        kind: What it is: a model, or a dictionary.
        most: Greatest length, bytes.

    Raises:
        RunFolderError: It cannot be read, is no regular file, is too long, or is damaged.
    """
    try:
        data = strict_json.loads(read_plain(path, most), max_bytes=most, max_depth=32)
        return TypeAdapter(kind).validate_python(data)
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
    except strict_json.StrictJsonError as error:
        problem = str(error)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        problem = f"is damaged: {'.'.join(map(str, first['loc'])) or 'it'}: {first['msg']}"
    raise RunFolderError(f"{path} {problem}. Put the right file back, or move it away")
