"""A publisher that keeps what it is given, in order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import BaseModel

from esper.contracts.enums import TopicNames
from esper.contracts.records import RunRecords


@dataclass(frozen=True)
class Sent:
    """One call of `publish`."""

    body: BaseModel
    topic: TopicNames
    trace_id: str | None


@dataclass
class KeepingPublisher:
    """Keeps everything. Implements the port `Publisher`."""

    sent: list[Sent] = field(default_factory=list)

    def publish(
        self,
        body: BaseModel,
        *,
        topic: TopicNames,
        trace_id: str | None = None,
        traceparent: str | None = None,
    ) -> None:
        del traceparent
        self.sent.append(Sent(body, topic, trace_id))

    @property
    def dropped(self) -> Mapping[TopicNames, int]:
        return {}

    @property
    def records(self) -> list[RunRecords]:
        """The lines of logs among it."""
        return [one.body for one in self.sent if isinstance(one.body, RunRecords)]
