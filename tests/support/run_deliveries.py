"""Lines of runs as they come over the bus, and what a store says of a run, to be compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from esper.contracts.enums import TopicNames
from esper.contracts.messages import OonaMessage
from esper.contracts.ports import Delivery
from esper.contracts.records import RunLine, RunRecords
from esper.services.nissa.ingest import Batch
from esper.services.nissa.run_store import RunStore

NOW = 1_800_000_000.0
"""Where a `StillClock` stands."""


def delivery(
    lines: Sequence[Mapping[str, Any]],
    *,
    run_id: str = "run-1",
    attempt: int = 0,
    kept: int = 0,
    begin: int | None = None,
    at: float = NOW,
    folder: str = "/runs/one",
) -> Delivery:
    """Lines of one attempt, each 10 bytes long as far as positions go."""
    first = kept if begin is None else begin
    records = RunRecords(
        run_id=run_id,
        attempt=attempt,
        kept=kept,
        folder=folder,
        lines=tuple(
            RunLine(position=first + 10 * i, body=dict(line)) for i, line in enumerate(lines)
        ),
    )
    message = OonaMessage(
        sender_id=f"tolaria/{run_id}",
        topic=TopicNames.EVENTS_TRAINING,
        payload=records.model_dump(mode="json"),
        trace_id="0" * 32,
        timestamp=datetime.fromtimestamp(at, UTC),
    )
    return Delivery(message=message, position="1", group="nissa")


def read(deliveries: Sequence[Delivery]) -> list[Batch]:
    """What the store is given when these arrive."""
    messages = [delivery.message for delivery in deliveries]
    return [
        Batch.of(RunRecords.model_validate(one.payload), one.timestamp, one.trace_id)
        for one in messages
    ]


def like(batch: Batch, **changed: Any) -> Batch:
    """A batch whose records differ in these fields."""
    return Batch.of(batch.records.model_copy(update=changed), batch.at, batch.trace_id)


async def contents(store: RunStore, run_id: str) -> dict[str, Any]:
    """Everything that a store says of a run, without the order in which it heard of it."""
    lines = await store.lines(run_id, limit=100_000)
    said = [line.model_dump(exclude={"cursor"}) for line in lines]
    names = await store.curve_names(run_id)
    return {
        "summary": await store.run(run_id),
        "lines": sorted(said, key=lambda line: int(line["position"])),
        "curves": {name: await store.curve(run_id, name) for name in names},
        "impacts": await store.impacts(run_id),
    }
