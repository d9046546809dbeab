"""The server is killed and started again: what it had acknowledged is not lost, nothing doubles."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from support.bus_scenario import scenario
from support.fault_length import LONG
from support.servers import valkey

KILLS = 10 if LONG else 2
APPEND_ONLY = ("--save", "", "--appendonly", "yes", "--appendfsync", "everysec")


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.asyncio
async def test_a_killed_server_loses_nothing_that_it_acknowledged(tmp_path: Path) -> None:
    with valkey(*APPEND_ONLY) as server, scenario(server.url, tmp_path) as scene:
        scene.start("a")
        bus = await scene.open()
        seconds = 1.0 * KILLS + 1.0
        publishing = asyncio.create_task(scene.publish(bus, rate=10_000, seconds=seconds))
        for _ in range(KILLS):
            await asyncio.sleep(1.0)
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
        await publishing
        await scene.settled(bus)
        await scene.check(bus)
        await bus.close()


@pytest.mark.slow
@pytest.mark.asyncio
async def test_a_server_that_comes_back_empty_is_used_again(tmp_path: Path) -> None:
    with valkey() as server, scenario(server.url, tmp_path) as scene:
        scene.start("a")
        bus = await scene.open()
        await scene.publish(bus, rate=1000, seconds=0.5)
        await scene.settled(bus)
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)
        before = set(scene.published)
        scene.published.clear()
        await bus.publish([])
        await scene.publish(bus, rate=2000, seconds=0.5)
        assert scene.published - before
        until = asyncio.get_running_loop().time() + 30
        while not any(lag.group == "effects" for lag in await bus.lag()):
            assert asyncio.get_running_loop().time() < until
            await asyncio.sleep(0.1)
        await scene.settled(bus)
        await scene.check(bus)
        await bus.close()
