"""From bodies that wait to be sent to messages: lines of one run travel together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
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
    open_: dict[TopicNames, _Lines] = {}
    for item in items:
        before = open_.get(item.topic)
        if before is not None and before.take(item):
            continue
        parcel = Parcel(_message(item, sender_id))
        parcels.append(parcel)
        open_.pop(item.topic, None)
        if isinstance(item.body, RunRecords):
            open_[item.topic] = _Lines(item, item.body, parcel)
    return parcels


class _Lines:
    """A message of lines that more of them may join."""

    def __init__(self, item: Waiting, records: RunRecords, parcel: Parcel) -> None:
        self._key = _key(item, records)
        self._parcel = parcel
        lines = parcel.message.payload["lines"]
        assert isinstance(lines, list)
        self._lines = lines

    def take(self, item: Waiting) -> bool:
        records = item.body
        if not isinstance(records, RunRecords) or _key(item, records) != self._key:
            return False
        if len(self._lines) + len(records.lines) > _MOST_LINES:
            return False
        self._lines += _lines(records)
        self._parcel.bodies += 1
        return True


def _key(item: Waiting, records: RunRecords) -> tuple[object, ...]:
    place = (records.run_id, records.attempt, records.kept, records.folder)
    return (*place, item.trace_id, item.traceparent)


def _lines(records: RunRecords) -> list[JsonValue]:
    return [{"position": line.position, "body": line.body} for line in records.lines]


def _message(item: Waiting, sender_id: str) -> OonaMessage:
    timestamp = datetime.fromtimestamp(item.at, UTC)
    trace_id = uuid4().hex if item.trace_id is None else item.trace_id
    if not isinstance(item.body, RunRecords):
        return OonaMessage(
            sender_id=sender_id,
            topic=item.topic,
            payload=item.body.model_dump(mode="json"),
            trace_id=trace_id,
            traceparent=item.traceparent,
            timestamp=timestamp,
        )
    # What is in it was checked when it was made; looking at every value once more would take the
    # training's time.
    return OonaMessage.model_construct(
        version=1,
        event_id=str(uuid4()),
        sender_id=sender_id,
        topic=item.topic,
        payload={
            "kind": item.body.kind,
            "version": item.body.version,
            "run_id": item.body.run_id,
            "attempt": item.body.attempt,
            "kept": item.body.kept,
            "folder": item.body.folder,
            "lines": _lines(item.body),
        },
        trace_id=trace_id,
        traceparent=item.traceparent,
        timestamp=timestamp,
        claim=None,
    )
