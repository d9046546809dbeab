"""Consumers are killed at random while messages pour in: every effect happens exactly once."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from support.bus_scenario import scenario
from support.fault_length import LONG
from support.servers.valkey import ValkeyServer

SECONDS = 30.0 if LONG else 3.0
RATE = 10_000


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.asyncio
async def test_killed_consumers_lose_and_repeat_no_effect(
    valkey_server: ValkeyServer, tmp_path: Path
) -> None:
    chance = random.Random(7)
    async with scenario(valkey_server.url, tmp_path) as scene:
        names = ["a", "b"]
        for name in names:
            scene.start(name)
        bus = await scene.open()
        publishing = asyncio.create_task(scene.publish(bus, rate=RATE, seconds=SECONDS))
        born = 0
        while not publishing.done():
            await asyncio.sleep(chance.uniform(0.5, 1.5))
            victim = chance.choice(names)
            scene.kill(victim)
            if chance.random() < 0.5:
                # Never started again: what it had pending is another's from now on.
                names.remove(victim)
                born += 1
                victim = f"born-{born}"
                names.append(victim)
            scene.start(victim)
        await publishing
        await scene.settled(bus)
        await scene.check(bus)
        assert len(scene.published) == int(RATE * SECONDS)
