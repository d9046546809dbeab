"""Rows of blueprints: reading one within a transaction, and writing it at a new revision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from esper.contracts.errors import LibraryNotFoundError
from esper.contracts.library import BlueprintRecord
from esper.services.urza.change import Change
from esper.services.urza.library_tables import BLUEPRINTS


@dataclass(frozen=True)
class Stored:
    """A record, and the columns that are not part of it."""

    record: BlueprintRecord
    row: Row[Any]


def stored(row: Row[Any]) -> Stored:
    """Return what a row holds."""
    return Stored(BlueprintRecord.model_validate_json(row.document), row)


async def find_row(connection: AsyncConnection, blueprint_id: str) -> Stored | None:
    """Return a blueprint, or None."""
    statement = select(BLUEPRINTS).where(BLUEPRINTS.c.blueprint_id == blueprint_id)
    row = (await connection.execute(statement)).one_or_none()
    return None if row is None else stored(row)


async def read_row(connection: AsyncConnection, blueprint_id: str) -> Stored:
    """Return a blueprint.

    Raises:
        LibraryNotFoundError: There is none of that id.
    """
    found = await find_row(connection, blueprint_id)
    if found is None:
        raise LibraryNotFoundError(
            f"there is no blueprint {blueprint_id!r:.140}; `esper blueprints search` lists them"
        )
    return found


async def insert_row(change: Change, record: BlueprintRecord, content: str) -> None:
    """Write a new blueprint; the entry in the log follows."""
    await change.connection.execute(
        insert(BLUEPRINTS).values(
            blueprint_id=record.blueprint.blueprint_id,
            sequence=change.next_sequence,
            content=content,
            queued_at=change.now,
            lease_token=0,
            **_columns(record),
        )
    )


async def update_row(
    change: Change, old: BlueprintRecord, columns: dict[str, Any] | None = None, **fields: Any
) -> BlueprintRecord:
    """Write a blueprint with some fields changed, at its next revision; return it.

    Args:
        change: The transaction, which is alone: the revision cannot have changed since the read.
        old: As it was read.
        columns: Columns besides the record.
        fields: Of the record; `state` is the blueprint's own.
    """
    if "state" in fields:
        fields["blueprint"] = old.blueprint.model_copy(update={"state": fields.pop("state")})
    new = old.model_copy(update={**fields, "revision": old.revision + 1, "updated_at": change.at})
    done = await change.connection.execute(
        update(BLUEPRINTS)
        .where(BLUEPRINTS.c.blueprint_id == old.blueprint.blueprint_id)
        .where(BLUEPRINTS.c.revision == old.revision)
        .values(**_columns(new), **(columns or {}))
    )
    assert done.rowcount == 1
    return new


def _columns(record: BlueprintRecord) -> dict[str, Any]:
    return {
        "revision": record.revision,
        "document": record.model_dump_json(),
        "family": record.blueprint.family,
        "host": record.blueprint.host,
        "state": record.blueprint.state.value,
    }
