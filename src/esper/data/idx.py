"""The IDX format of the MNIST family: a big-endian header, then bytes (LeCun, Cortes, Burges)."""

from __future__ import annotations

import gzip
import hashlib
import math
import zlib
from pathlib import Path

import torch
from torch import Tensor

from esper.contracts.errors import ChecksumError, DataError

_UNSIGNED_BYTE = 0x08


def read_idx(path: Path, *, sha256: str | None = None) -> Tensor:
    """Read a gzip-compressed IDX file of unsigned bytes.

    Args:
        path: the ``.gz`` file.
        sha256: expected digest of the *uncompressed* content; compression may differ between
            distributors, the content may not. ``None`` checks nothing.

    Returns:
        A ``uint8`` tensor of the shape in the header.

    Raises:
        DataError: the file cannot be read or is not such a file.
        ChecksumError: the content is not the expected one.
    """
    try:
        content = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read as gzip ({error}): replace the file") from error
    if sha256 is not None and (found := hashlib.sha256(content).hexdigest()) != sha256:
        raise ChecksumError(
            f"{path} holds other content than the published data set (SHA-256 {found}, expected "
            f"{sha256}): replace the file"
        )
    return parse_idx(content, what=str(path))


def parse_idx(content: bytes, *, what: str) -> Tensor:
    """Parse uncompressed IDX content; ``what`` names it in errors.

    Raises:
        DataError: the header or the length is wrong.
    """
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] != _UNSIGNED_BYTE:
        raise DataError(f"{what} does not begin with an IDX header of unsigned bytes")
    axes = content[3]
    start = 4 + 4 * axes
    sizes = [int.from_bytes(content[4 + 4 * i : 8 + 4 * i], "big") for i in range(axes)]
    if axes == 0 or len(content) != start + math.prod(sizes):
        raise DataError(
            f"{what} declares shape {tuple(sizes)}, that is {math.prod(sizes)} bytes, but holds "
            f"{max(len(content) - start, 0)}"
        )
    return torch.frombuffer(bytearray(content[start:]), dtype=torch.uint8).reshape(sizes)
