"""Rows that hold records: found by their key, written as the record says, listed page by page.

A page ends with a cursor: where the next one begins, as a text that callers hand back unread.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import Column, Row, Select, Table, insert, literal, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from esper.contracts.base import Contract
from esper.contracts.errors import (
    EsperError,
    LibraryNotFoundError,
    RevisionConflictError,
    SubmissionError,
)
from esper.contracts.library import Page
from esper.services.urza.change import Change

Record = TypeVar("Record", bound=Contract)
Item = TypeVar("Item")


@dataclass(frozen=True)
class Stored(Generic[Record]):
    """A record, and the columns that are not part of it."""

    record: Record
    row: Row[Any]


@dataclass(frozen=True, kw_only=True)
class Rows(Generic[Record]):
    """A table whose column `document` is a record, and whose others serve searches."""

    table: Table
    """The table; it has a primary key of one column."""
    kind: type[Record]
    """What the documents are."""
    columns: Callable[[Record], dict[str, Any]]
    """Returns the columns that follow from a record, its key among them."""
    what: str
    """What messages call a record."""
    lister: str
    """The command that lists them."""
    missing: type[EsperError] = LibraryNotFoundError
    """Raised where there is none under a key."""

    @property
    def key(self) -> Column[Any]:
        """The column that tells rows apart."""
        (column,) = self.table.primary_key.columns
        return column

    def record(self, row: Row[Any]) -> Record:
        """Return the record in a row."""
        return self.kind.model_validate_json(row.document)

    async def find(self, connection: AsyncConnection, key: str) -> Stored[Record] | None:
        """Return what is stored under a key, or None."""
        statement = select(self.table).where(self.key == key)
        row = (await connection.execute(statement)).one_or_none()
        return None if row is None else Stored(self.record(row), row)

    async def stored(self, connection: AsyncConnection, key: str) -> Stored[Record]:
        """Return what is stored under a key.

        Raises:
            EsperError: `missing`: there is nothing.
        """
        found = await self.find(connection, key)
        if found is None:
            raise self.absence(key)
        return found

    async def read(self, connection: AsyncConnection, key: str) -> Record:
        """Return the record under a key, as `stored` does."""
        return (await self.stored(connection, key)).record

    async def read_at(self, connection: AsyncConnection, key: str, revision: int) -> Record:
        """Return the record under a key, which somebody who read it at `revision` wants to change.

        Raises:
            EsperError: `missing`: there is nothing.
            RevisionConflictError: It is at another revision.
        """
        found = await self.stored(connection, key)
        if found.row.revision != revision:
            raise RevisionConflictError(
                f"{self.what} {key} is at revision {found.row.revision}, not {revision}; "
                "read it again and decide anew"
            )
        return found.record

    def absence(self, key: str) -> EsperError:
        """Return the error that says that there is nothing under a key."""
        return self.missing(
            f"the library has no {self.what} {key!r:.140}; `{self.lister}` lists what it has"
        )

    async def insert(self, change: Change, record: Record, **columns: Any) -> None:
        """Write a new record, with further columns; the entry in the log follows."""
        sequence = change.next_sequence
        statement = insert(self.table).values(sequence=sequence, **self._values(record), **columns)
        await change.connection.execute(statement)

    async def update(self, change: Change, record: Record, **columns: Any) -> None:
        """Write a record that is stored already, and further columns."""
        values = self._values(record)
        statement = update(self.table).where(self.key == values[self.key.name])
        await change.connection.execute(statement.values(**values, **columns))

    def _values(self, record: Record) -> dict[str, Any]:
        return {"document": record.model_dump_json(), **self.columns(record)}


async def listed(
    connection: AsyncConnection,
    statement: Select[Any],
    item: Callable[[Row[Any]], Item],
    *order: Column[Any],
    cursor: str | None,
    limit: int,
    down: bool = False,
) -> Page[Item]:
    """Return a page of what a statement finds.

    Args:
        connection: Where it is asked.
        statement: Without an order; its rows have the columns of `order`.
        item: Makes an item of a row.
        order: Columns that go up, and together tell rows apart.
        cursor: Of the page before; None for the first.
        limit: Most items.
        down: Let the columns go down instead.

    Raises:
        SubmissionError: The cursor is not one of this list.
    """
    if cursor is not None:
        key = decode(cursor, *(column.type.python_type for column in order))
        last = tuple_(*(literal(part, c.type) for part, c in zip(key, order, strict=True)))
        place = tuple_(*order)
        statement = statement.where(place < last if down else place > last)
    statement = statement.order_by(*(column.desc() if down else column for column in order))
    # One more than asked for: that means that there is a next page.
    rows = (await connection.execute(statement.limit(limit + 1))).all()
    shown, more = rows[:limit], len(rows) > limit
    last_key = [getattr(shown[-1], column.name) for column in order] if more else []
    return Page(items=tuple(map(item, shown)), next_cursor=encode(last_key) if more else None)


def encode(key: Sequence[Any]) -> str:
    """Return the sort key of a page's last record as a text that is safe in a URL."""
    text = json.dumps(list(key), separators=(",", ":"), allow_nan=False)
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def decode(cursor: str, *types: type) -> list[Any]:
    """Return the sort key in a cursor, whose parts are of these types.

    Raises:
        SubmissionError: It is something else than `encode` returned for such a key.
    """
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        key = json.loads(text)
    except (binascii.Error, ValueError):
        key = None
    if (
        isinstance(key, list)
        and len(key) == len(types)
        and all(type(part) is wanted for part, wanted in zip(key, types, strict=True))
        and all(not isinstance(part, int) or abs(part) < 2**63 for part in key)
    ):
        return key
    raise SubmissionError(
        f"{cursor!r:.80} is no cursor of this list; begin without one, then use next_cursor"
    )
