from __future__ import annotations

import asyncio

import pytest

from esper.contracts.enums import ComponentName
from esper.contracts.enums import TopicNames
from esper.contracts.platform_events import ComponentHealth
from esper.services.oona.open import open_bus
from esper.utils.heartbeat import heartbeat
from support.publishers import KeepingPublisher


@pytest.mark.asyncio
async def test_a_heart_beats_with_fresh_figures_until_it_is_stopped_and_then_takes_its_leave() -> (
    None
):
    publisher, stop, beats = KeepingPublisher(), asyncio.Event(), iter(range(100))

    def details() -> dict[str, int]:
        number = next(beats)
        if number == 2:
            stop.set()
        return {"beat": number}

    beat = heartbeat(ComponentName.TOLARIA, "one", interval_seconds=0.001, details=details)
    await beat(await open_bus(None), publisher, stop)
    said = [one.body for one in publisher.sent]
    assert all(isinstance(word, ComponentHealth) for word in said)
    words = [word for word in said if isinstance(word, ComponentHealth)]
    assert [word.details["beat"] for word in words] == [0, 1, 2, 3]
    assert [word.leaving for word in words] == [False, False, False, True]
    assert {one.topic for one in publisher.sent} == {TopicNames.HEALTH_COMPONENTS}
    assert {(word.component, word.instance) for word in words} == {(ComponentName.TOLARIA, "one")}
