"""The outside of a kernel file: the safetensors header, read strictly and before anything else.

The safetensors library refuses holes, overlaps and trailing bytes, but takes duplicate keys,
tensors of zero elements that share their place, and unaligned data. A file whose bytes can be
read in two ways is no use under a content address, so we read the header ourselves first.
Format: https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

from esper.utils import strict_json

DTYPES: Final = {
    "F32": ("float32", 4),
    "F16": ("float16", 2),
    "BF16": ("bfloat16", 2),
    "I64": ("int64", 8),
}
"""What a kernel may hold, by its name in the header: torch's name, and bytes for each value."""

METADATA: Final = "__metadata__"
PREFIX: Final = 8
"""Bytes before the header: its length, little-endian."""
ALIGNMENT: Final = 8
MOST_AXES: Final = 8
MOST_TENSORS: Final = 8192


class HeaderError(ValueError):
    """The header is refused; the message says why."""


@dataclass(frozen=True, kw_only=True)
class TensorEntry:
    """What the header says of one tensor."""

    dtype: str
    """As torch calls it: "float32"."""
    shape: tuple[int, ...]
    begin: int
    """First byte, counted from the end of the header."""
    end: int
    """Byte after the last."""


@dataclass(frozen=True, kw_only=True)
class Header:
    """A header that passed every check of form."""

    metadata: dict[str, str]
    tensors: dict[str, TensorEntry]


def read_header(data: bytes, *, max_bytes: int) -> Header:
    """Read and check the header of a safetensors file.

    Args:
        data: The whole file.
        max_bytes: Greatest length of the header.

    Raises:
        HeaderError: Anything is out of order: length, JSON, fields, dtypes, shapes, alignment,
            holes, overlaps, trailing bytes.
    """
    length = _header_length(data, max_bytes)
    text = data[PREFIX : PREFIX + length]
    if not text.startswith(b"{"):
        raise HeaderError("the header does not start with '{'")
    try:
        # An object of objects of lists, and nothing deeper.
        fields = strict_json.loads(text, max_bytes=max_bytes, max_depth=3)
    except strict_json.StrictJsonError as problem:
        raise HeaderError(f"the header {problem}") from None
    if type(fields) is not dict:
        raise HeaderError("the header is not a JSON object")
    if len(fields) > MOST_TENSORS:
        raise HeaderError(f"the header lists {len(fields)} tensors, more than {MOST_TENSORS}")
    metadata = _read_metadata(fields.pop(METADATA, None))
    tensors = {name: _read_entry(name, entry) for name, entry in fields.items()}
    _check_layout(tensors, len(data) - PREFIX - length)
    return Header(metadata=metadata, tensors=tensors)


def _header_length(data: bytes, max_bytes: int) -> int:
    if len(data) < PREFIX:
        raise HeaderError(f"the file has {len(data)} bytes, not even a header's length")
    length = int.from_bytes(data[:PREFIX], "little")
    if length > max_bytes:
        raise HeaderError(f"the header claims {length} bytes, more than the limit of {max_bytes}")
    if length > len(data) - PREFIX:
        raise HeaderError(f"the header claims {length} bytes, but the file ends before that")
    if length % ALIGNMENT:
        raise HeaderError(f"the header's length {length} is not a multiple of {ALIGNMENT}")
    return length


def _read_metadata(value: Any) -> dict[str, str]:
    if type(value) is not dict or not all(type(text) is str for text in value.values()):
        raise HeaderError(f"the header's {METADATA!r} is not an object of strings")
    return value


def _read_entry(name: str, entry: Any) -> TensorEntry:
    if type(entry) is not dict or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise HeaderError(
            f"tensor {name!r:.80} must have exactly the fields dtype, shape and data_offsets"
        )
    known = DTYPES.get(entry["dtype"]) if type(entry["dtype"]) is str else None
    if known is None:
        raise HeaderError(
            f"tensor {name!r:.80} has dtype {entry['dtype']!r:.40}; allowed: {', '.join(DTYPES)}"
        )
    shape = _integers(name, "shape", entry["shape"], least=1)
    offsets = _integers(name, "data_offsets", entry["data_offsets"], least=0)
    if len(shape) > MOST_AXES or len(offsets) != 2:
        raise HeaderError(f"tensor {name!r:.80} has too many axes or not two data_offsets")
    (dtype, width), (begin, end) = known, offsets
    size = math.prod(shape) * width
    if end - begin != size:
        raise HeaderError(
            f"tensor {name!r:.80} of shape {shape} needs {size} bytes, its offsets give {end - begin}"
        )
    if begin % width:
        raise HeaderError(f"tensor {name!r:.80} starts at {begin}, which is not aligned")
    return TensorEntry(dtype=dtype, shape=shape, begin=begin, end=end)


def _integers(name: str, field: str, value: Any, *, least: int) -> tuple[int, ...]:
    # `type is int` keeps true and false out; 2**63 keeps products of sizes small enough to print.
    if type(value) is not list or not all(
        type(number) is int and least <= number < 2**63 for number in value
    ):
        raise HeaderError(
            f"tensor {name!r:.80} has {field} {value!r:.80}; it must be integers of at least {least}"
        )
    return tuple(value)


def _check_layout(tensors: dict[str, TensorEntry], body: int) -> None:
    """The tensors follow each other without holes or overlaps and fill the file."""
    position = 0
    for name, entry in sorted(tensors.items(), key=lambda item: item[1].begin):
        if entry.begin != position:
            fault = "overlaps the tensor before it" if entry.begin < position else "leaves a hole"
            raise HeaderError(f"tensor {name!r:.80} starts at {entry.begin} and {fault}")
        position = entry.end
    if position != body:
        raise HeaderError(f"the tensors take {position} bytes, but {body} follow the header")
