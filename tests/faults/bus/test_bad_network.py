"""Connections are cut in the middle of answers, or crawl: every effect happens exactly once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.bus_scenario import scenario
from support.fault_length import LONG
from support.fault_proxy import FaultProxy, fault_proxy
from support.servers.valkey import ValkeyServer

SECONDS = 20.0 if LONG else 2.0

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.asyncio]


@pytest.fixture
def near(valkey_server: ValkeyServer) -> Iterator[FaultProxy]:
    """Between the publisher and the server."""
    with fault_proxy(valkey_server.port) as proxy:
        yield proxy


@pytest.fixture
def far(valkey_server: ValkeyServer) -> Iterator[FaultProxy]:
    """Between the consumers and the server."""
    with fault_proxy(valkey_server.port) as proxy:
        yield proxy


async def test_connections_that_are_cut_mid_answer_lose_and_repeat_no_effect(
    near: FaultProxy, far: FaultProxy, tmp_path: Path
) -> None:
    async with scenario(far.url(), tmp_path) as scene:
        far.cut_after = 500_000
        near.cut_after = 100
        scene.start("a")
        scene.start("b")
        bus = await scene.open(near.url())
        await scene.publish(bus, rate=5000, seconds=SECONDS)
        near.cut_after = None
        await scene.settled(bus)
        await scene.check(bus)
        # How many there are in the short form's two seconds is the machine's affair.
        least = 3 if LONG else 1
        assert far.cuts >= least
        assert near.cuts >= least


async def test_a_slow_network_that_breaks_down_loses_and_repeats_no_effect(
    far: FaultProxy, tmp_path: Path
) -> None:
    async with scenario(far.url(), tmp_path) as scene:
        far.delay_seconds = 0.03
        scene.start("a")
        bus = await scene.open()
        publishing = asyncio.create_task(scene.publish(bus, rate=300, seconds=SECONDS + 3.0))
        await asyncio.sleep(SECONDS)
        far.cut_all()
        await asyncio.sleep(0.3)
        far.silent = True
        await asyncio.sleep(0.5)
        far.silent = False
        far.cut_all()
        await publishing
        far.delay_seconds = 0.0
        await scene.settled(bus)
        await scene.check(bus)
