"""Heartbeat: a process says over the bus, every few seconds, that it is there and how it is."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from pydantic import JsonValue

from esper.contracts.enums import ComponentName, ComponentStatus, TopicNames
from esper.contracts.platform_events import ComponentHealth
from esper.contracts.ports import Bus, Publisher

Details = Callable[[], Mapping[str, JsonValue]]
"""Returns figures of a process's own; quick, and called on another thread than its work's."""

INTERVAL_SECONDS: Final = 5.0
"""Pause between two signs of life."""


def heartbeat(
    component: ComponentName,
    instance: str,
    *,
    interval_seconds: float = INTERVAL_SECONDS,
    details: Details = dict,
) -> Callable[[Bus, Publisher, asyncio.Event], Awaitable[None]]:
    """Return what runs beside a link and gives signs of life; the last one says that it leaves.

    Args:
        component: What the process is.
        instance: Which one: unique among those of its kind, and the same after a restart.
        interval_seconds: Pause between two.
        details: What each one tells besides the messages that were dropped, by topic.
    """

    def health(publisher: Publisher, *, leaving: bool = False) -> ComponentHealth:
        dropped: dict[str, JsonValue] = {t.value: n for t, n in publisher.dropped.items()}
        return ComponentHealth(
            component=component,
            instance=instance,
            status=ComponentStatus.HEALTHY,
            pid=os.getpid(),
            interval_seconds=interval_seconds,
            leaving=leaving,
            details={"dropped": dropped, **details()},
        )

    async def beat(bus: Bus, publisher: Publisher, stop: asyncio.Event) -> None:
        while not stop.is_set():
            publisher.publish(health(publisher), topic=TopicNames.HEALTH_COMPONENTS)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), interval_seconds)
        publisher.publish(health(publisher, leaving=True), topic=TopicNames.HEALTH_COMPONENTS)

    return beat
