"""Blueprints: what has been thought of, and where each stands on its way to a kernel."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Row, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from esper.blueprints.ir import GraphIR
from esper.contracts.assets import Blueprint
from esper.contracts.enums import BlueprintState
from esper.contracts.errors import (
    BlueprintError,
    IllegalTransitionError,
    LibraryNotFoundError,
    RevisionConflictError,
    SubmissionError,
)
from esper.contracts.library import BlueprintRecord, Page
from esper.contracts.lifecycle import BLUEPRINT_LIFE, BlueprintEvent
from esper.execution.artifact_check import reference_cost
from esper.services.urza.change import Change, Changes, digest_of
from esper.services.urza.cursor import decode, page
from esper.services.urza.library_tables import BLUEPRINTS
from esper.storage.database import Database

LEASE_EVENTS: Final = frozenset(
    {
        BlueprintEvent.LEASE,
        BlueprintEvent.RELEASE,
        BlueprintEvent.VALIDATE,
        BlueprintEvent.INVALIDATE,
    }
)
"""What only the holder of a lease brings about."""


class Blueprints:
    """The blueprints."""

    def __init__(self, database: Database, changes: Changes) -> None:
        self._database = database
        self._changes = changes

    async def submit(self, actor: str, blueprint: Blueprint) -> BlueprintRecord:
        """Store a blueprint; the same again is answered with what is stored.

        It waits for the forge at once, unless its state is PROPOSED.

        Raises:
            SubmissionError: Its graph or its figures fail a check, or the id is taken.
        """
        # A large graph takes a while to check: not in the event loop.
        await asyncio.to_thread(check_blueprint, blueprint)
        content = _content(blueprint)
        proposed = blueprint.state is BlueprintState.PROPOSED
        state = BlueprintState.PROPOSED if proposed else BlueprintState.UNVALIDATED
        async with self._changes.begin(actor, "blueprints") as change:
            known = await find_row(change.connection, blueprint.blueprint_id)
            if known is not None:
                if known.row.content == content:
                    return known.record
                raise SubmissionError(
                    f"the id {blueprint.blueprint_id!r} belongs to another blueprint "
                    f"({known.record.blueprint.name!r:.80}); give this one a new id"
                )
            record = BlueprintRecord(
                blueprint=blueprint.model_copy(update={"state": state}),
                revision=1,
                updated_at=change.at,
            )
            await insert_row(change, record, content)
            await change.record(
                "blueprint.submit",
                blueprint.blueprint_id,
                name=blueprint.name,
                state=state.value,
                content=content,
            )
            return record

    async def get(self, blueprint_id: str) -> BlueprintRecord:
        """Return a blueprint.

        Raises:
            LibraryNotFoundError: There is none of that id.
        """
        async with self._database.reading() as connection:
            return (await read_row(connection, blueprint_id)).record

    async def search(
        self,
        *,
        host: str | None = None,
        state: BlueprintState | None = None,
        family: str | None = None,
        cursor: str | None = None,
        limit: int = 100,
    ) -> Page[BlueprintRecord]:
        """Return the blueprints that fit, newest first; None does not restrict.

        Raises:
            SubmissionError: The cursor is not one of this list.
        """
        statement = select(BLUEPRINTS).order_by(BLUEPRINTS.c.sequence.desc())
        if host is not None:
            statement = statement.where(BLUEPRINTS.c.host.in_([host, ""]))
        if state is not None:
            statement = statement.where(BLUEPRINTS.c.state == state.value)
        if family is not None:
            statement = statement.where(BLUEPRINTS.c.family == family)
        if (key := decode(cursor, int)) is not None:
            statement = statement.where(BLUEPRINTS.c.sequence < key[0])
        async with self._database.reading() as connection:
            rows = (await connection.execute(statement.limit(limit + 1))).all()
        return page(rows, limit, lambda r: stored(r).record, lambda r: [r.sequence])

    async def move(
        self,
        actor: str,
        blueprint_id: str,
        event: BlueprintEvent,
        revision: int,
        reason: str = "",
    ) -> BlueprintRecord:
        """Move a blueprint along its table; leases make the moves that building brings about.

        Raises:
            LibraryNotFoundError: There is no such blueprint.
            RevisionConflictError: It is not at `revision`.
            IllegalTransitionError: Its state does not allow that, or only a lease does.
        """
        async with self._changes.begin(actor, "blueprints") as change:
            record = (await read_row(change.connection, blueprint_id)).record
            if record.revision != revision:
                raise RevisionConflictError(
                    f"blueprint {blueprint_id} is at revision {record.revision}, not {revision}; "
                    "read it again and decide anew"
                )
            if event in LEASE_EVENTS:
                raise IllegalTransitionError(
                    f"only the holder of a lease can {event.value} a blueprint; take a lease"
                )
            before = record.blueprint.state
            fields: dict[str, Any] = {"state": BLUEPRINT_LIFE.advance(before, event)}
            columns: dict[str, Any] = {}
            if fields["state"] is BlueprintState.UNVALIDATED:
                fields |= {"attempts": 0, "reason": ""}
                columns["queued_at"] = change.now
            new = await update_row(change, record, columns, **fields)
            await change.record(
                f"blueprint.{event.value}",
                blueprint_id,
                before=before.value,
                after=new.blueprint.state.value,
                revision=new.revision,
                reason=reason,
            )
            return new


def graph_of(blueprint: Blueprint) -> GraphIR:
    """Return the graph of a blueprint.

    Raises:
        BlueprintError: It is not valid.
    """
    return GraphIR.from_json(json.dumps(blueprint.architecture))


def check_blueprint(blueprint: Blueprint) -> None:
    """Check a blueprint's graph and figures.

    Raises:
        SubmissionError: One of them is wrong; names it.
    """
    try:
        graph = graph_of(blueprint)
        if set(graph.inputs) != {"x"} or set(graph.outputs) != {"y"}:
            raise SubmissionError("the graph must have the one input 'x' and the one output 'y'")
        parameters = reference_cost(graph).parameters
    except BlueprintError as problem:
        raise SubmissionError(f"the graph is not valid: {problem!s:.600}") from None
    told = {
        "input_shape": (blueprint.input_shape, graph.input_spec.shape),
        "output_shape": (blueprint.output_shape, graph.output_spec.shape),
        "parameters": (blueprint.parameters, parameters),
    }
    for name, (says, is_) in told.items():
        if says != is_:
            raise SubmissionError(f"the blueprint says {name} {says!r:.80}, its graph has {is_!r}")


def _content(blueprint: Blueprint) -> str:
    """Return the digest of what a blueprint is, wherever it stands and whenever it was made."""
    fields = blueprint.model_dump(mode="json", exclude={"state", "created_at"})
    return digest_of(json.dumps(fields, sort_keys=True, separators=(",", ":")))


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
