"""Messages about the platform as they come over the bus, and a sink that takes nothing."""

from __future__ import annotations

from datetime import UTC, datetime

from pydantic import BaseModel

from esper.contracts.enums import TopicNames
from esper.contracts.messages import OonaMessage
from esper.contracts.platform_events import Alert
from esper.contracts.ports import Delivery
from support.run_deliveries import NOW


def told(body: BaseModel, topic: TopicNames, *, at: float = NOW) -> Delivery:
    """A message that says so."""
    message = OonaMessage(
        sender_id="somebody/1",
        topic=topic,
        payload=body.model_dump(mode="json"),
        timestamp=datetime.fromtimestamp(at, UTC),
    )
    return Delivery(message=message, position="1", group="nissa")


def broken_sink(alert: Alert) -> None:
    """A sink that takes nothing."""
    raise OSError("no paper")
