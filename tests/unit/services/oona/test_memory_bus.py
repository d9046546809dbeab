from __future__ import annotations

import asyncio

import pytest

from esper.contracts.errors import BusError, BusUnavailableError
from esper.services.oona.bus_config import OonaConfig
from esper.services.oona.memory_bus import InProcessBus
from support.buses import RACE, SEED, everything, message, numbers
from support.clocks import StillClock

pytestmark = pytest.mark.asyncio


def bus_with(clock: StillClock | None = None, **settings: float) -> InProcessBus:
    return InProcessBus(OonaConfig(**settings), clock or StillClock())


async def test_what_every_group_is_done_with_makes_room() -> None:
    bus = bus_with(held_messages=100)
    await bus.join([SEED], "g")
    for number in range(1000):
        await bus.publish([message(number)])
        await bus.ack(await bus.consume([SEED], group="g", consumer="c"))
    kept = numbers([each async for _, each in bus.replay(SEED)])
    assert kept == list(range(900, 1000))


async def test_without_groups_the_newest_are_held() -> None:
    bus = bus_with(held_messages=10)
    await bus.publish([message(number) for number in range(25)])
    await bus.publish([message(25)])
    assert len([each async for each in bus.replay(SEED)]) <= 25
    await bus.publish([message(number) for number in range(26, 30)])
    assert numbers([each async for _, each in bus.replay(SEED)]) == list(range(20, 30))


@pytest.mark.parametrize("pending", [False, True])
async def test_a_group_that_is_too_far_behind_makes_it_refuse_more(pending: bool) -> None:
    bus = bus_with(held_messages=10)
    await bus.join([SEED], "slow")
    await bus.publish([message(number) for number in range(10)])
    if pending:
        await bus.consume([SEED], group="slow", consumer="c")
    with pytest.raises(BusUnavailableError, match=r"'events\.seed' holds 10.*'slow'"):
        await bus.publish([message(0, RACE), message(10)])
    assert not [each async for each in bus.replay(RACE)]
    await bus.join([SEED], "slow")
    await bus.ack(await bus.consume([SEED], group="slow", consumer="c", limit=3))
    await bus.publish([message(10)])
    assert numbers(await everything(bus, "slow", "c")) == [*range(3, 11)]


async def test_what_is_pending_too_long_goes_to_another_consumer() -> None:
    clock = StillClock()
    bus = bus_with(clock, idle_seconds=30.0)
    await bus.join([SEED], "g")
    await bus.publish([message(0)])
    await bus.consume([SEED], group="g", consumer="dead")
    clock.advance(29.9)
    assert not await bus.consume([SEED], group="g", consumer="c", wait_seconds=0.0)
    clock.advance(0.2)
    found = await bus.consume([SEED], group="g", consumer="c", wait_seconds=0.0)
    assert [delivery.tries for delivery in found] == [2]


async def test_a_consumer_that_waits_notices_what_others_leave_pending_too_long() -> None:
    clock = StillClock()
    bus = bus_with(clock, idle_seconds=0.04)
    await bus.join([SEED], "g")
    await bus.publish([message(0)])
    await bus.consume([SEED], group="g", consumer="dead")
    waiting = asyncio.create_task(bus.consume([SEED], group="g", consumer="c", wait_seconds=60.0))
    await asyncio.sleep(0)
    clock.advance(1.0)
    assert numbers(await waiting) == [0]


async def test_dead_letters_are_bounded() -> None:
    bus = bus_with(keep_dead=3)
    await bus.join([SEED], "g")
    await bus.publish([message(number) for number in range(5)])
    for delivery in await everything(bus, "g", "c"):
        await bus.bury(delivery, "bad")
    assert numbers([letter.message for letter in await bus.dead(SEED)]) == [2, 3, 4]


@pytest.mark.parametrize("position", ["now", "1-2", ""])
async def test_a_position_of_another_kind_is_refused(position: str) -> None:
    with pytest.raises(BusError, match="no position"):
        await bus_with().join([SEED], "g", since=position)


async def test_closing_wakes_whoever_waits() -> None:
    bus = bus_with()
    await bus.join([SEED], "g")
    waiting = asyncio.create_task(bus.consume([SEED], group="g", consumer="c", wait_seconds=0.1))
    await asyncio.sleep(0)
    await bus.close()
    assert not await waiting
