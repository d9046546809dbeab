from __future__ import annotations

import asyncio
import pickle
import socket
from functools import partial

import pytest

from esper.contracts.enums import ComponentName, TopicNames
from esper.contracts.errors import ConfigError
from esper.contracts.platform_events import BuildStarted, ComponentHealth
from esper.contracts.ports import Publisher
from esper.hosting.presence import presence
from esper.services.oona.open import open_bus
from support.servers.server import free_port


async def carried(url: str, topic: TopicNames) -> list[tuple[str, dict[str, object]]]:
    bus = await open_bus(url)
    try:
        return [(m.sender_id, dict(m.payload)) async for _, m in bus.replay(topic)]
    finally:
        await bus.close()


def test_a_service_is_heard_and_takes_its_leave(valkey_place: str) -> None:
    with presence(valkey_place, ComponentName.TEZZERET, "forge", lambda: {"workers": 2}) as there:
        assert isinstance(there, Publisher)
        there.publish(
            BuildStarted(blueprint_id="b", worker="forge-0"), topic=TopicNames.EVENTS_COMPILATION
        )
    sent = asyncio.run(carried(valkey_place, TopicNames.HEALTH_COMPONENTS))
    healths = [ComponentHealth.model_validate(payload) for _, payload in sent]
    assert [health.leaving for health in healths] == [False, True]
    assert healths[0].instance == f"forge@{socket.gethostname()}"
    assert healths[0].details == {"dropped": {}, "workers": 2}
    ((sender, build),) = asyncio.run(carried(valkey_place, TopicNames.EVENTS_COMPILATION))
    assert sender == f"tezzeret/forge@{socket.gethostname()}"
    assert build["blueprint_id"] == "b"


def test_without_a_bus_a_service_works_unheard() -> None:
    with presence(None, ComponentName.URZA, "library") as there:
        assert there is None


def test_a_bus_that_is_away_keeps_nobody_from_working() -> None:
    with presence(f"redis://127.0.0.1:{free_port()}", ComponentName.URZA, "library") as there:
        assert there is not None


def test_an_address_that_is_none_is_told_at_once() -> None:
    with pytest.raises(ConfigError), presence("http://a", ComponentName.URZA, "library"):
        pytest.fail("it was taken")


def test_it_goes_to_workers_in_other_processes() -> None:
    join = partial(presence, "redis://127.0.0.1", ComponentName.TEZZERET)
    assert pickle.loads(pickle.dumps(join)).args == join.args
