"""The server is killed and started again: what it had acknowledged is not lost, nothing doubles."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.bus_scenario import scenario
from support.fault_length import LONG
from support.servers.valkey import ValkeyServer, valkey

KILLS = 10 if LONG else 2
APPEND_ONLY = ("--save", "", "--appendonly", "yes", "--appendfsync", "everysec")


@pytest.fixture
def keeper() -> Iterator[ValkeyServer]:
    """A server that has its data again after a kill."""
    with valkey(*APPEND_ONLY) as server:
        yield server


@pytest.fixture
def forgetter() -> Iterator[ValkeyServer]:
    """A server that comes back empty."""
    with valkey() as server:
        yield server


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.asyncio
async def test_a_killed_server_loses_nothing_that_it_acknowledged(
    keeper: ValkeyServer, tmp_path: Path
) -> None:
    async with scenario(keeper.url, tmp_path) as scene:
        scene.start("a")
        bus = await scene.open()
        seconds = 1.0 * KILLS + 1.0
        publishing = asyncio.create_task(scene.publish(bus, rate=10_000, seconds=seconds))
        for _ in range(KILLS):
            await asyncio.sleep(1.0)
            await asyncio.to_thread(keeper.kill)
            await asyncio.to_thread(keeper.start)
        await publishing
        await scene.settled(bus)
        await scene.check(bus)


@pytest.mark.slow
@pytest.mark.asyncio
@pytest.mark.parametrize("first", ["consumer", "publisher"])
async def test_a_server_that_comes_back_empty_is_used_again(
    forgetter: ValkeyServer, tmp_path: Path, first: str
) -> None:
    async with scenario(forgetter.url, tmp_path) as scene:
        scene.start("a")
        bus = await scene.open()
        await scene.publish(bus, rate=1000, seconds=0.5)
        await scene.settled(bus)
        if first == "publisher":
            scene.pause("a")
        await asyncio.to_thread(forgetter.kill)
        await asyncio.to_thread(forgetter.start)
        if first == "consumer":
            # There is no stream yet: it makes one for its group.
            await scene.grouped(bus)
        before = set(scene.published)
        scene.published.clear()
        await scene.publish(bus, rate=2000, seconds=0.5)
        scene.go_on("a")
        assert scene.published - before
        await scene.settled(bus)
        await scene.check(bus)
