"""Rows of kernels: reading and writing one within a transaction, and finding those that fit."""

from __future__ import annotations

from typing import Any, Final, Literal, TypeAlias

from sqlalchemy import Column, Select, and_, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from esper.contracts.base import Shape
from esper.contracts.errors import KernelNotFoundError
from esper.contracts.library import KernelQuery, KernelRecord, ValidationReport
from esper.services.urza.change import Change
from esper.services.urza.cursor import decode
from esper.services.urza.library_tables import KERNEL_TAGS, KERNELS, LAST


def missing(kernel_id: str) -> KernelNotFoundError:
    """Return the error that says that there is no such kernel."""
    return KernelNotFoundError(
        f"the library has no kernel {kernel_id!r:.80}; `esper kernel search` lists what it has"
    )


async def find_row(connection: AsyncConnection, kernel_id: str) -> KernelRecord | None:
    """Return a kernel, or None."""
    statement = select(KERNELS.c.document).where(KERNELS.c.kernel_id == kernel_id)
    document = (await connection.execute(statement)).scalar_one_or_none()
    return None if document is None else KernelRecord.model_validate_json(document)


async def read_row(connection: AsyncConnection, kernel_id: str) -> KernelRecord:
    """Return a kernel.

    Raises:
        KernelNotFoundError: There is none of that id.
    """
    record = await find_row(connection, kernel_id)
    if record is None:
        raise missing(kernel_id)
    return record


async def insert_row(change: Change, record: KernelRecord) -> None:
    """Write a new kernel with its tags; the entry in the log follows."""
    kernel_id = id_of(record)
    await change.connection.execute(
        insert(KERNELS).values(
            kernel_id=kernel_id, sequence=change.next_sequence, **_columns(record)
        )
    )
    if record.tags:
        await change.connection.execute(
            insert(KERNEL_TAGS),
            [
                {"kernel_id": kernel_id, "name": name, "value": value}
                for name, value in record.tags.items()
            ],
        )


async def update_row(change: Change, old: KernelRecord, **fields: Any) -> KernelRecord:
    """Write a kernel with some fields changed (never its tags), at its next revision; return it.

    Args:
        change: The transaction, which is alone: the revision cannot have changed since the read.
        old: As it was read.
        fields: Of the record.
    """
    new = old.model_copy(update={**fields, "revision": old.revision + 1})
    done = await change.connection.execute(
        update(KERNELS)
        .where(KERNELS.c.kernel_id == id_of(old))
        .where(KERNELS.c.revision == old.revision)
        .values(**_columns(new))
    )
    assert done.rowcount == 1
    return new


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
        "revision": record.revision,
        "document": record.model_dump_json(),
        "blueprint_name": record.metadata.blueprint,
        "host": record.host,
        "mode": record.metadata.mode.value,
        "status": record.status.value,
        "input_shape": shape_text(record.metadata.input_shape),
        "output_shape": shape_text(record.metadata.output_shape),
        "parameters": record.metadata.parameters,
        "size_bytes": record.size_bytes,
        "gain_order": LAST if gain is None else -gain,
        "latency_order": LAST if latency is None else latency,
    }


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
