"""Cursors: where the next page of a list begins, as a text that callers hand back unread."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Table, select
from sqlalchemy.ext.asyncio import AsyncConnection

from esper.contracts.errors import SubmissionError
from esper.contracts.library import Page

Row = TypeVar("Row")
Item = TypeVar("Item")


def encode(key: Sequence[Any]) -> str:
    """Return the sort key of a page's last record as a text that is safe in a URL."""
    text = json.dumps(list(key), separators=(",", ":"), allow_nan=False)
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def decode(cursor: str | None, *types: type) -> list[Any] | None:
    """Return the sort key in a cursor; None for the first page.

    Args:
        cursor: What `encode` returned, or None.
        types: Of the key's parts.

    Raises:
        SubmissionError: It is something else.
    """
    if cursor is None:
        return None
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        key = json.loads(text)
    except (binascii.Error, ValueError):
        key = None
    fits = (
        isinstance(key, list)
        and len(key) == len(types)
        and all(type(part) is wanted for part, wanted in zip(key, types, strict=True))
        and all(not isinstance(part, int) or abs(part) < 2**63 for part in key)
    )
    if not fits:
        raise SubmissionError(
            f"{cursor!r:.80} is no cursor of this list; begin without one, then use next_cursor"
        )
    assert isinstance(key, list)
    return key


async def oldest_first(
    connection: AsyncConnection,
    table: Table,
    cursor: str | None,
    limit: int,
    item: Callable[[Any], Item],
    *where: ColumnElement[bool],
) -> Page[Item]:
    """Return a page of a table's rows by their sequence.

    Raises:
        SubmissionError: The cursor is not one of this list.
    """
    (after,) = decode(cursor, int) or (0,)
    order = table.c.sequence
    statement = select(table).where(order > after, *where).order_by(order).limit(limit + 1)
    rows = (await connection.execute(statement)).all()
    return page(rows, limit, item, lambda row: [row.sequence])


def page(
    rows: Sequence[Row],
    limit: int,
    item: Callable[[Row], Item],
    key: Callable[[Row], Sequence[Any]],
) -> Page[Item]:
    """Return the first `limit` of the rows; one more than that means that there is a next page."""
    shown = rows[:limit]
    more = len(rows) > limit
    return Page(items=tuple(map(item, shown)), next_cursor=encode(key(shown[-1])) if more else None)
