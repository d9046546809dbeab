from __future__ import annotations

import os

import pytest

from esper.contracts.assets import Blueprint
from esper.contracts.enums import TopicNames
from esper.contracts.errors import ConfigError, LibraryUnavailableError
from esper.contracts.messages import OonaMessage, RequestBlueprint
from esper.contracts.ports import Delivery
from esper.hosting.forge_access import forge, submit_requests
from esper.services.tezzeret.forge_config import TezzeretConfig
from support.forge import MemoryQueue, blueprint_of, perceptron


@pytest.fixture(autouse=True)
def nothing_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("ESPER_URZA", "ESPER_REDIS"))]:
        monkeypatch.delenv(name)


def test_a_forge_without_a_library_is_refused_before_a_worker_starts() -> None:
    with pytest.raises(ConfigError, match="ESPER_URZA_URL"), forge(TezzeretConfig()):
        pass


def test_a_forge_is_put_together_and_starts_nothing_by_itself() -> None:
    config = TezzeretConfig(workers=2)
    with forge(config, "http://127.0.0.1:1", "token") as supervisor:
        assert supervisor.details() == {"workers": 0, "wanted": 2, "starts": 0}
        assert not supervisor.is_ready()


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

    await submit_requests(submit, [asked, asked, request(8)])
    first, second = queue.lease("w", seconds=60), queue.lease("w", seconds=60)
    assert first is not None
    assert second is not None
    assert queue.lease("w", seconds=60) is None


@pytest.mark.asyncio
async def test_a_library_that_is_away_leaves_the_request_on_the_bus() -> None:
    async def submit(blueprint: Blueprint) -> None:
        raise LibraryUnavailableError("away")

    with pytest.raises(LibraryUnavailableError):
        await submit_requests(submit, [request()])
