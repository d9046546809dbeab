from __future__ import annotations

import pytest

from esper.contracts.errors import ConfigError
from esper.hosting.bus_access import find_bus, shared_bus

URL = "redis://127.0.0.1:1/0"


@pytest.fixture(autouse=True)
def nothing_named(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.delenv("ESPER_REDIS_URL", raising=False)
    monkeypatch.delenv("ESPER_REDIS_URL_FILE", raising=False)
    monkeypatch.setenv("ESPER_HOME", str(tmp_path))


def test_what_is_given_comes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_bus() is None
    monkeypatch.setenv("ESPER_REDIS_URL", URL)
    assert find_bus() == URL
    assert find_bus("valkey://elsewhere/0") == "valkey://elsewhere/0"


@pytest.mark.asyncio
async def test_where_nobody_names_a_bus_every_way_to_do_so_is_told() -> None:
    with pytest.raises(ConfigError, match=r"--redis URL, set ESPER_REDIS_URL .*`esper up`"):
        async with shared_bus():
            pass


@pytest.mark.asyncio
async def test_a_server_is_not_asked_before_the_first_question() -> None:
    async with shared_bus(URL) as bus:
        assert bus is not None
