"""Reading pickles that may hold byte arrays and plain containers, and nothing else.

The official CIFAR archives are pickles, and a pickle is a program. This unpickler knows three
names, the ones that spell a numpy array, and gives each a stand-in of its own: no function of
numpy or of anything else is ever called with what the file says.
"""

from __future__ import annotations

import io
import math
import pickle
from typing import Any

import numpy as np
import numpy.typing as npt

from esper.contracts.errors import DataError

_RECONSTRUCT = frozenset(
    {
        ("numpy.core.multiarray", "_reconstruct"),
        ("numpy._core.multiarray", "_reconstruct"),
    }
)
_BYTES = frozenset({"u1", "|u1"})


class _Dtype:
    """Stand-in for ``numpy.dtype``: accepts unsigned bytes only."""

    def __init__(self, code: Any = None, *_: Any) -> None:
        self.code = code.decode("ascii", "replace") if isinstance(code, bytes) else code
        if self.code not in _BYTES:
            raise pickle.UnpicklingError(f"array of type {self.code!r}; only bytes are admitted")

    def __setstate__(self, state: Any) -> None:
        """Byte order and alignment say nothing about bytes."""


class _Array:
    """Stand-in for ``numpy.ndarray``: builds the array itself, from checked parts."""

    def __init__(self) -> None:
        self.values: npt.NDArray[np.uint8] | None = None

    def __setstate__(self, state: Any) -> None:
        if not (isinstance(state, tuple) and len(state) == 5):
            raise pickle.UnpicklingError("an array's state must be a tuple of five")
        _, shape, dtype, fortran, raw = state
        sizes_ok = isinstance(shape, tuple) and all(type(n) is int and n >= 0 for n in shape)
        if not (sizes_ok and isinstance(dtype, _Dtype) and isinstance(raw, bytes)):
            raise pickle.UnpicklingError("an array's shape, type or content is malformed")
        if math.prod(shape) != len(raw):
            raise pickle.UnpicklingError(f"shape {shape} does not fit {len(raw)} bytes")
        flat = np.frombuffer(raw, dtype=np.uint8)
        self.values = flat.reshape(shape[::-1]).T if fortran is True else flat.reshape(shape)


def _reconstruct(kind: Any, *_: Any) -> _Array:
    if kind is not _Array:
        raise pickle.UnpicklingError("only plain arrays are admitted")
    return _Array()


def _latin1(text: Any, encoding: Any = "latin1") -> bytes:
    # Newer pickles of old protocols spell bytes as `_codecs.encode(text, "latin1")`.
    if not isinstance(text, str) or encoding not in {"latin1", "latin-1"}:
        raise pickle.UnpicklingError("only latin-1 bytes are admitted")
    return text.encode("latin-1")


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Admit the names of an array's pickle; refuse all others."""
        if (module, name) in _RECONSTRUCT:
            return _reconstruct
        if (module, name) == ("numpy", "ndarray"):
            return _Array
        if (module, name) == ("numpy", "dtype"):
            return _Dtype
        if (module, name) == ("_codecs", "encode"):
            return _latin1
        raise pickle.UnpicklingError(f"{module}.{name} is not admitted in a data file")

    def persistent_load(self, pid: Any) -> Any:
        """Refuse references to objects outside the file."""
        raise pickle.UnpicklingError(f"external reference {pid!r} is not admitted in a data file")


def load_plain(content: bytes, *, what: str) -> Any:
    """Read a pickle of byte arrays, bytes, strings, numbers, lists, tuples and dicts.

    Python 2 strings come back as ``bytes``. Nothing in ``content`` can run code.

    Args:
        content: the pickle.
        what: names it in errors.

    Raises:
        DataError: the pickle is damaged, or names anything but plain byte arrays.
    """
    try:
        value = _Unpickler(io.BytesIO(content), encoding="bytes").load()
    except (
        pickle.UnpicklingError,
        EOFError,
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        AttributeError,
        OverflowError,
        MemoryError,
    ) as error:
        raise DataError(f"{what} is not a plain data file: {error}") from error
    return _plain(value)


def _plain(value: Any) -> Any:
    """Put arrays where their stand-ins are."""
    if isinstance(value, _Array):
        return value.values
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_plain(v) for v in value]
    if isinstance(value, tuple):
        return tuple(_plain(v) for v in value)
    return value
