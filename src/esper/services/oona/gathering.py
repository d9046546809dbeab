"""From bodies that wait to be sent to messages: lines of one run travel together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

from pydantic import BaseModel, JsonValue

from esper.contracts.enums import TopicNames
from esper.contracts.messages import OonaMessage
from esper.contracts.records import RunRecords

_MOST_LINES: Final = 128
"""Lines in one message: some tens of kilobytes."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A body on its way into a message."""

    body: BaseModel
    topic: TopicNames
    trace_id: str | None
    traceparent: str | None
    at: float
    """When it was handed over, in seconds since the epoch."""


@dataclass(slots=True)
class Parcel:
    """A message to be sent, and how many bodies are in it."""

    message: OonaMessage
    bodies: int = 1


def gather(items: Iterable[Waiting], sender_id: str) -> list[Parcel]:
    """Return the messages that carry `items`, in their order within each topic.

    Successive lines of a topic that belong to the same attempt of the same run, and to the same
    trace, come into one message.
    """
    parcels: list[Parcel] = []
    growing: dict[TopicNames, tuple[object, list[JsonValue], Parcel]] = {}
    for item in items:
        records = item.body if isinstance(item.body, RunRecords) else None
        key, lines, parcel = growing.pop(item.topic, (None, [], None))
        more = [] if records is None else _lines(records)
        if parcel is None or key != _key(item) or len(lines) + len(more) > _MOST_LINES:
            lines, parcel = more, Parcel(_message(item, more, sender_id))
            parcels.append(parcel)
        else:
            lines += more
            parcel.bodies += 1
        if records is not None:
            growing[item.topic] = _key(item), lines, parcel
    return parcels


def _key(item: Waiting) -> tuple[object, ...]:
    records = item.body
    if not isinstance(records, RunRecords):
        return ()
    place = (records.run_id, records.attempt, records.kept, records.folder)
    return (*place, item.trace_id, item.traceparent)


def _lines(records: RunRecords) -> list[JsonValue]:
    return [{"position": line.position, "body": line.body} for line in records.lines]


def _message(item: Waiting, lines: list[JsonValue], sender_id: str) -> OonaMessage:
    envelope: dict[str, Any] = {
        "sender_id": sender_id,
        "topic": item.topic,
        "trace_id": uuid4().hex if item.trace_id is None else item.trace_id,
        "traceparent": item.traceparent,
        "timestamp": datetime.fromtimestamp(item.at, UTC),
    }
    if not isinstance(item.body, RunRecords):
        return OonaMessage(payload=item.body.model_dump(mode="json"), **envelope)
    # What is in it was checked when it was made; looking at every value once more would take the
    # training's time. The lines are this very list: more of them may join.
    payload = {**item.body.model_dump(exclude={"lines"}), "lines": lines}
    return OonaMessage.model_construct(payload=payload, **envelope)
