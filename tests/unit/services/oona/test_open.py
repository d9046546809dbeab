from __future__ import annotations

import pytest

from esper.contracts.errors import BusUnavailableError, ConfigError
from esper.services.oona.memory_bus import InProcessBus
from esper.services.oona.open import check_url, open_bus
from esper.services.oona.redis_bus import RedisBus
from support.servers.server import free_port


@pytest.mark.asyncio
async def test_no_url_means_a_bus_within_the_process() -> None:
    assert isinstance(await open_bus(None), InProcessBus)


@pytest.mark.asyncio
@pytest.mark.parametrize("scheme", ["redis", "valkey", "rediss", "valkeys"])
async def test_a_server_is_not_contacted_before_it_is_asked(scheme: str) -> None:
    bus = await open_bus(f"{scheme}://127.0.0.1:{free_port()}/0")
    assert isinstance(bus, RedisBus)
    with pytest.raises(BusUnavailableError, match=r"the bus at 127\.0\.0\.1:\d+ cannot be reached"):
        await bus.lag()
    await bus.close()


@pytest.mark.parametrize(
    "url", ["", "localhost:6379", "http://localhost", "redis://", "redis://[bad", "redis://h:99999"]
)
def test_a_url_that_names_no_server_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(ConfigError, match="the bus's URL is not valid; give redis://") as caught:
        check_url(url)
    assert "99999" not in str(caught.value)
