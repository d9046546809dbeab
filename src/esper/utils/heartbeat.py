"""Heartbeat: a process says over the bus, every few seconds, that it is there and how it is."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable
from collections.abc import Callable
from collections.abc import Mapping

from pydantic import JsonValue

from esper.contracts.enums import ComponentName
from esper.contracts.enums import ComponentStatus
from esper.contracts.enums import TopicNames
from esper.contracts.platform_events import ComponentHealth
from esper.contracts.ports import Bus
from esper.contracts.ports import Publisher

Details = Callable[[], Mapping[str, JsonValue]]
"""Figures of the process as they are now: counters, rates, sizes."""


def _nothing() -> Mapping[str, JsonValue]:
    return {}


def heartbeat(
    component: ComponentName,
    instance: str,
    *,
    interval_seconds: float = 5.0,
    details: Details = _nothing,
) -> Callable[[Bus, Publisher, asyncio.Event], Awaitable[None]]:
    """Return what a link runs beside it: it sends `ComponentHealth` until it is stopped.

    Its last word, when it is stopped, says that the process leaves: it is not lost, then.

    Args:
        component: What the process is.
        instance: Which one: unique among those of its kind.
        interval_seconds: Time between two words.
        details: Asked for each of them, on the link's thread; must not wait for anything.
    """

    async def beat(bus: Bus, publisher: Publisher, stop: asyncio.Event) -> None:
        del bus  # what is sent this way waits where the bus is away
        while True:
            leaving = stop.is_set()
            health = ComponentHealth(
                component=component,
                instance=instance,
                status=ComponentStatus.HEALTHY,
                pid=os.getpid(),
                interval_seconds=interval_seconds,
                leaving=leaving,
                details=dict(details()),
            )
            publisher.publish(health, topic=TopicNames.HEALTH_COMPONENTS)
            if leaving:
                return
            try:
                await asyncio.wait_for(stop.wait(), interval_seconds)
            except TimeoutError:
                continue

    return beat
