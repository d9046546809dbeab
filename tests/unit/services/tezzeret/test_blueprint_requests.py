from __future__ import annotations

import pytest

from esper.contracts.assets import Blueprint
from esper.contracts.enums import TopicNames
from esper.contracts.errors import LibraryUnavailableError
from esper.contracts.messages import OonaMessage, RequestBlueprint
from esper.contracts.ports import Delivery
from esper.services.tezzeret.blueprint_requests import submitting
from support.forge import MemoryQueue, blueprint_of, perceptron


def request(width: int = 16) -> Delivery:
    body = RequestBlueprint(blueprint=blueprint_of(perceptron(width)), requested_by="a test")
    topic = TopicNames.INNOVATION_BLUEPRINT_REQUESTS
    message = OonaMessage.of(body, sender_id="test", topic=topic)
    return Delivery(message=message, position="1-0", group="tezzeret")


@pytest.mark.asyncio
async def test_what_is_asked_for_waits_in_the_library_once() -> None:
    queue, asked = MemoryQueue(), request()

    async def submit(blueprint: Blueprint) -> object:
        return queue.submit(blueprint)

    await submitting(submit)([asked, asked, request(8)])
    first, second = queue.lease("w", seconds=60), queue.lease("w", seconds=60)
    assert first is not None
    assert second is not None
    assert queue.lease("w", seconds=60) is None


@pytest.mark.asyncio
async def test_a_library_that_is_away_leaves_the_request_on_the_bus() -> None:
    async def submit(blueprint: Blueprint) -> None:
        raise LibraryUnavailableError("away")

    with pytest.raises(LibraryUnavailableError):
        await submitting(submit)([request()])
