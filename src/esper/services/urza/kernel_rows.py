"""Rows of kernels, and which of them a search finds."""

from __future__ import annotations

from typing import Any, Final, Literal, TypeAlias

from sqlalchemy import Column, Select, select

from esper.contracts.base import Shape
from esper.contracts.errors import KernelNotFoundError
from esper.contracts.library import KernelQuery, KernelRecord, ValidationReport
from esper.services.urza.change import Change
from esper.services.urza.library_tables import KERNEL_TAGS, KERNELS, LAST
from esper.services.urza.rows import Rows


def id_of(record: KernelRecord) -> str:
    """Return a stored kernel's id, which its manifest has."""
    kernel_id = record.metadata.kernel_id
    assert kernel_id is not None
    return kernel_id


def shape_text(shape: Shape) -> str:
    """Return a shape as searches write it: `3,32,32`, with `*` for an axis of any size."""
    return ",".join("*" if size is None else str(size) for size in shape)


def lowest_latency(report: ValidationReport | None) -> float | None:
    """Return the lowest median latency of a report in microseconds; None if it has none."""
    measured = [entry.median_us for entry in report.latencies] if report else []
    return min(measured, default=None)


def _columns(record: KernelRecord) -> dict[str, Any]:
    # Searches go upwards, so what is best has the lowest number, and what is not known the last.
    gain, latency = record.proven_gain, record.latency_us
    return {
        "kernel_id": id_of(record),
        "revision": record.revision,
        "blueprint_name": record.metadata.blueprint,
        "host": record.host,
        "mode": record.metadata.mode,
        "status": record.status,
        "input_shape": shape_text(record.metadata.input_shape),
        "output_shape": shape_text(record.metadata.output_shape),
        "parameters": record.metadata.parameters,
        "size_bytes": record.size_bytes,
        "gain_order": LAST if gain is None else -gain,
        "latency_order": LAST if latency is None else latency,
    }


KERNEL_ROWS: Final = Rows(
    table=KERNELS,
    kind=KernelRecord,
    columns=_columns,
    what="kernel",
    lister="esper kernel search",
    missing=KernelNotFoundError,
)
"""The rows of kernels."""


async def changed(change: Change, old: KernelRecord, **fields: Any) -> KernelRecord:
    """Write a kernel with some fields changed (never its tags), at its next revision; return it."""
    new = old.model_copy(update={**fields, "revision": old.revision + 1})
    await KERNEL_ROWS.update(change, new)
    return new


Sort: TypeAlias = Literal["gain", "newest", "latency", "parameters"]
"""Best first: the largest proven gain, the latest, the fastest, the smallest."""

_K: Final = KERNELS.c
ORDER: Final[dict[Sort, Column[Any]]] = {
    "gain": _K.gain_order,
    "newest": _K.sequence,
    "latency": _K.latency_order,
    "parameters": _K.parameters,
}
"""The column that an order goes by."""
_EXACTLY: Final[dict[str, Column[Any]]] = {
    "mode": _K.mode,
    "input_shape": _K.input_shape,
    "output_shape": _K.output_shape,
    "status": _K.status,
    "blueprint": _K.blueprint_name,
}
_AT_MOST: Final[dict[str, Column[Any]]] = {
    "max_parameters": _K.parameters,
    "max_latency_us": _K.latency_order,
    "max_bytes": _K.size_bytes,
}


def fitting(query: KernelQuery) -> Select[Any]:
    """Return the statement that finds the kernels that fit."""
    statement = select(KERNELS)
    for name, value in query.model_dump(exclude={"host", "tags"}, exclude_none=True).items():
        fits = _AT_MOST[name] <= value if name in _AT_MOST else _EXACTLY[name] == value
        statement = statement.where(fits)
    if query.max_latency_us is not None:
        statement = statement.where(_K.latency_order < LAST)
    if query.host is not None:
        statement = statement.where(_K.host.in_([query.host, ""]))
    for name, text in sorted(query.tags.items()):
        tagged = select(KERNEL_TAGS.c.kernel_id).where(
            KERNEL_TAGS.c.kernel_id == _K.kernel_id,
            KERNEL_TAGS.c.name == name,
            KERNEL_TAGS.c.value == text,
        )
        statement = statement.where(tagged.exists())
    return statement
