"""Blueprints: what has been thought of, and where each stands on its way to a kernel."""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from pydantic import JsonValue
from sqlalchemy import select

from esper.blueprints.ir import GraphIR
from esper.contracts.assets import Blueprint
from esper.contracts.enums import BlueprintState
from esper.contracts.errors import (
    BlueprintError,
    IllegalTransitionError,
    SubmissionError,
)
from esper.contracts.library import BlueprintRecord, Page
from esper.contracts.lifecycle import BLUEPRINT_LIFE, BlueprintEvent
from esper.execution.artifact_check import reference_cost
from esper.services.urza.change import Change, Store, digest_of
from esper.services.urza.library_tables import BLUEPRINTS
from esper.services.urza.rows import Rows, listed

LEASE_EVENTS: Final = frozenset(
    {
        BlueprintEvent.LEASE,
        BlueprintEvent.RELEASE,
        BlueprintEvent.VALIDATE,
        BlueprintEvent.INVALIDATE,
    }
)
"""What only the holder of a lease brings about."""


def _columns(record: BlueprintRecord) -> dict[str, Any]:
    return {
        "blueprint_id": record.blueprint.blueprint_id,
        "revision": record.revision,
        "family": record.blueprint.family,
        "host": record.blueprint.host,
        "state": record.blueprint.state,
    }


BLUEPRINT_ROWS: Final = Rows(
    table=BLUEPRINTS,
    kind=BlueprintRecord,
    columns=_columns,
    what="blueprint",
    lister="esper blueprints search",
)
"""The rows of blueprints."""


class Blueprints:
    """The blueprints."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def submit(self, actor: str, blueprint: Blueprint) -> tuple[BlueprintRecord, bool]:
        """Store a blueprint; return it, and whether it is new.

        The same again is answered with what is stored.

        It waits for the forge at once, unless its state is PROPOSED.

        Raises:
            SubmissionError: Its graph or its figures fail a check, or the id is taken.
        """
        # A large graph takes a while to check: not in the event loop.
        await asyncio.to_thread(check_blueprint, blueprint)
        content = _content(blueprint)
        proposed = blueprint.state is BlueprintState.PROPOSED
        state = BlueprintState.PROPOSED if proposed else BlueprintState.UNVALIDATED
        async with self._store.begin(actor, "blueprints") as change:
            known = await BLUEPRINT_ROWS.find(change.connection, blueprint.blueprint_id)
            if known is not None:
                if known.row.content == content:
                    return known.record, False
                raise SubmissionError(
                    f"the id {blueprint.blueprint_id!r} belongs to another blueprint "
                    f"({known.record.blueprint.name!r:.80}); give this one a new id"
                )
            record = BlueprintRecord(
                blueprint=blueprint.model_copy(update={"state": state}),
                revision=1,
                updated_at=change.at,
            )
            await BLUEPRINT_ROWS.insert(
                change, record, content=content, queued_at=change.now, lease_token=0
            )
            await change.record(
                "blueprint.submit",
                blueprint.blueprint_id,
                name=blueprint.name,
                state=state.value,
                content=content,
            )
            return record, True

    async def get(self, blueprint_id: str) -> BlueprintRecord:
        """Return a blueprint.

        Raises:
            LibraryNotFoundError: There is none of that id.
        """
        async with self._store.reading() as connection:
            return await BLUEPRINT_ROWS.read(connection, blueprint_id)

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
        statement = select(BLUEPRINTS)
        if host is not None:
            statement = statement.where(BLUEPRINTS.c.host.in_([host, ""]))
        if state is not None:
            statement = statement.where(BLUEPRINTS.c.state == state)
        if family is not None:
            statement = statement.where(BLUEPRINTS.c.family == family)
        async with self._store.reading() as connection:
            return await listed(
                connection,
                statement,
                BLUEPRINT_ROWS.record,
                BLUEPRINTS.c.sequence,
                cursor=cursor,
                limit=limit,
                down=True,
            )

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
        async with self._store.begin(actor, "blueprints") as change:
            old = await BLUEPRINT_ROWS.read_at(change.connection, blueprint_id, revision)
            if event in LEASE_EVENTS:
                raise IllegalTransitionError(
                    f"only the holder of a lease can {event.value} a blueprint; take a lease"
                )
            state = BLUEPRINT_LIFE.advance(old.blueprint.state, event)
            log = {"before": old.blueprint.state.value, "after": state.value, "reason": reason}
            if event is BlueprintEvent.ARCHIVE:
                return await moved(change, old, event, log=log)
            return await moved(change, old, event, log=log, attempts=0, reason="")


async def moved(
    change: Change,
    old: BlueprintRecord,
    *events: BlueprintEvent,
    log: Mapping[str, JsonValue],
    columns: Mapping[str, Any] = MappingProxyType({}),
    **fields: Any,
) -> BlueprintRecord:
    """Write a blueprint after some events, at its next revision, and log the last; return it.

    Args:
        change: The transaction.
        old: As it was read.
        events: What happens to it, in turn.
        log: What the log's entry says besides the revision.
        columns: Columns besides the record; who builds it and since when it waits follow from
            its state.
        fields: Of the record.

    Raises:
        IllegalTransitionError: Its state does not allow one of the events.
    """
    state = functools.reduce(BLUEPRINT_LIFE.advance, events, old.blueprint.state)
    follows: dict[str, Any] = {}
    if state is not BlueprintState.COMPILING:
        follows = {"lease_worker": None, "lease_expires_at": None}
    if state is BlueprintState.UNVALIDATED:
        # To the end of the queue: one that fails must not hold up the others.
        follows["queued_at"] = change.now
    new = old.model_copy(
        update={
            "blueprint": old.blueprint.model_copy(update={"state": state}),
            "revision": old.revision + 1,
            "updated_at": change.at,
            **fields,
        }
    )
    await BLUEPRINT_ROWS.update(change, new, **follows, **columns)
    action, subject = f"blueprint.{events[-1].value}", new.blueprint.blueprint_id
    await change.record(action, subject, revision=new.revision, **log)
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
