from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping

import pytest
from pydantic import BaseModel

from esper.contracts.enums import ComponentName, TopicNames
from esper.contracts.platform_events import ComponentHealth
from esper.services.oona.open import open_bus
from esper.utils.heartbeat import heartbeat


class Heard:
    """A publisher that keeps what it is given."""

    def __init__(self) -> None:
        self.bodies: list[ComponentHealth] = []
        self.dropped: Mapping[TopicNames, int] = {}

    def publish(
        self,
        body: BaseModel,
        *,
        topic: TopicNames,
        trace_id: str | None = None,
        traceparent: str | None = None,
    ) -> None:
        assert topic is TopicNames.HEALTH_COMPONENTS
        assert isinstance(body, ComponentHealth)
        self.bodies.append(body)


@pytest.mark.asyncio
async def test_signs_of_life_come_until_it_is_stopped_and_the_last_one_says_so() -> None:
    heard, stop, asked = Heard(), asyncio.Event(), []

    def details() -> dict[str, int]:
        asked.append(1)
        if len(asked) == 3:
            stop.set()
        return {"built": len(asked)}

    beat = heartbeat(ComponentName.TEZZERET, "forge", interval_seconds=0.001, details=details)
    await beat(await open_bus(None), heard, stop)
    assert [body.leaving for body in heard.bodies] == [False, False, False, True]
    first = heard.bodies[0]
    assert (first.component, first.instance) == (ComponentName.TEZZERET, "forge")
    assert (first.pid, first.interval_seconds) == (os.getpid(), 0.001)
    assert [body.details["built"] for body in heard.bodies] == [1, 2, 3, 4]


@pytest.mark.asyncio
async def test_one_that_is_stopped_does_not_wait_for_its_next_sign() -> None:
    heard, stop = Heard(), asyncio.Event()
    beat = heartbeat(ComponentName.URZA, "library", interval_seconds=3600)
    task = asyncio.create_task(beat(await open_bus(None), heard, stop))
    while not heard.bodies:  # noqa: ASYNC110  # a publisher has no event to wait for
        await asyncio.sleep(0)
    stop.set()
    await asyncio.wait_for(task, 30)
    assert [body.leaving for body in heard.bodies] == [False, True]
