"""The search among kernels: which rows fit a query, in which order."""

from __future__ import annotations

from typing import Any, Final, Literal, TypeAlias

from sqlalchemy import Column, Select, and_, or_, select

from esper.contracts.library import KernelQuery
from esper.services.urza.cursor import decode
from esper.services.urza.library_tables import KERNEL_TAGS, KERNELS, LAST

Sort: TypeAlias = Literal["gain", "newest", "latency", "parameters"]
"""Best first: the largest proven gain, the latest, the fastest, the smallest."""

_K: Final = KERNELS.c
_ORDER: Final[dict[str, tuple[Column[Any], type]]] = {
    "gain": (_K.gain_order, float),
    "newest": (_K.sequence, int),
    "latency": (_K.latency_order, float),
    "parameters": (_K.parameters, int),
}


def statement_for(query: KernelQuery, sort: Sort, cursor: str | None) -> Select[Any]:
    """Return the statement that finds the kernels after `cursor`.

    Raises:
        SubmissionError: The cursor is not one of this list.
    """
    column, kind = _ORDER[sort]
    down = sort == "newest"
    statement = _filtered(query).order_by(column.desc() if down else column, _K.kernel_id)
    if (key := decode(cursor, kind, str)) is not None:
        value, kernel_id = key
        beyond = column < value if down else column > value
        statement = statement.where(or_(beyond, and_(column == value, _K.kernel_id > kernel_id)))
    return statement


def key_of(row: Any, sort: Sort) -> list[Any]:
    """Return what a cursor says about the last row of a page."""
    return [row[_ORDER[sort][0].name], row["kernel_id"]]


def _filtered(query: KernelQuery) -> Select[Any]:
    statement = select(KERNELS)
    if query.host is not None:
        statement = statement.where(_K.host.in_([query.host, ""]))
    equal: dict[Column[Any], Any] = {
        _K.mode: query.mode and query.mode.value,
        _K.input_shape: query.input_shape,
        _K.output_shape: query.output_shape,
        _K.status: query.status and query.status.value,
        _K.blueprint_name: query.blueprint,
    }
    for column, value in equal.items():
        if value is not None:
            statement = statement.where(column == value)
    most: dict[Column[Any], Any] = {
        _K.parameters: query.max_parameters,
        _K.latency_order: query.max_latency_us and min(query.max_latency_us, LAST / 2),
        _K.size_bytes: query.max_bytes,
    }
    for column, value in most.items():
        if value is not None:
            statement = statement.where(column <= _bounded(value))
    for name, text in sorted(query.tags.items()):
        tagged = select(KERNEL_TAGS.c.kernel_id).where(
            KERNEL_TAGS.c.kernel_id == _K.kernel_id,
            KERNEL_TAGS.c.name == name,
            KERNEL_TAGS.c.value == text,
        )
        statement = statement.where(tagged.exists())
    return statement


def _bounded(value: float) -> float:
    """Return a limit that fits the database's integers."""
    return min(value, 2**62) if isinstance(value, int) else value
