"""Connections are cut in the middle of answers, or crawl: every effect happens exactly once."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from support.bus_scenario import scenario
from support.fault_length import LONG
from support.fault_proxy import fault_proxy
from support.servers import ValkeyServer

SECONDS = 20.0 if LONG else 2.0


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.asyncio
async def test_connections_that_are_cut_mid_answer_lose_and_repeat_no_effect(
    valkey_server: ValkeyServer, tmp_path: Path
) -> None:
    with (
        fault_proxy(valkey_server.port) as far,
        fault_proxy(valkey_server.port) as near,
        scenario(far.url(), tmp_path) as scene,
    ):
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
        await bus.close()


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.asyncio
async def test_a_slow_network_that_breaks_down_loses_and_repeats_no_effect(
    valkey_server: ValkeyServer, tmp_path: Path
) -> None:
    with fault_proxy(valkey_server.port) as proxy, scenario(proxy.url(), tmp_path) as scene:
        proxy.delay_seconds = 0.03
        scene.start("a")
        bus = await scene.open()
        publishing = asyncio.create_task(scene.publish(bus, rate=300, seconds=SECONDS + 3.0))
        await asyncio.sleep(SECONDS)
        proxy.cut_all()
        await asyncio.sleep(0.3)
        proxy.silent = True
        await asyncio.sleep(0.5)
        proxy.silent = False
        proxy.cut_all()
        await publishing
        proxy.delay_seconds = 0.0
        await scene.settled(bus)
        await scene.check(bus)
        await bus.close()
