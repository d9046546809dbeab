"""Dead letters, replay, lag, and what trimming may remove."""

from __future__ import annotations

import asyncio

import pytest

from esper.contracts.errors import BusError
from support.buses import RACE, SEED, BusPlace, everything, message, numbers

pytestmark = pytest.mark.asyncio


async def test_a_buried_message_lies_with_its_error_and_is_done_with(place: BusPlace) -> None:
    bus = await place.open()
    await bus.join([SEED], "g")
    await bus.publish([message(0), message(1, text="x" * 100_000)])
    found = await everything(bus, "g", "c")
    for delivery in found:
        await bus.bury(delivery, f"ValueError: {delivery.message.event_id} is bad")
    letters = await bus.dead(SEED)
    assert [letter.message for letter in letters] == [delivery.message for delivery in found]
    assert [letter.error for letter in letters] == [
        "ValueError: e0 is bad",
        "ValueError: e1 is bad",
    ]
    assert {(letter.group, letter.tries) for letter in letters} == {("g", 1)}
    assert len({letter.dead_id for letter in letters}) == 2
    await bus.join([SEED], "g")
    assert not await everything(bus, "g", "c")
    assert not await bus.dead(RACE)


async def test_burying_twice_makes_one_dead_letter(place: BusPlace) -> None:
    bus = await place.open()
    await bus.join([SEED], "g")
    await bus.publish([message(0)])
    [delivery] = await everything(bus, "g", "c")
    await bus.bury(delivery, "first")
    await bus.bury(delivery, "second")
    assert [letter.error for letter in await bus.dead(SEED)] == ["first"]


async def test_dead_letters_come_oldest_first_as_many_as_asked_for(place: BusPlace) -> None:
    bus = await place.open()
    await bus.join([SEED], "g")
    await bus.publish([message(number) for number in range(5)])
    for delivery in await everything(bus, "g", "c"):
        await bus.bury(delivery, "bad")
    letters = await bus.dead(SEED, limit=3)
    assert numbers([letter.message for letter in letters]) == [0, 1, 2]


@pytest.mark.parametrize("size", [1, 100_000])
async def test_a_dead_letter_is_published_again_under_its_event_id(
    place: BusPlace, size: int
) -> None:
    bus = await place.open()
    await bus.join([SEED], "g")
    await bus.publish([message(0, text="x" * size)])
    [delivery] = await everything(bus, "g", "c")
    await bus.bury(delivery, "bad")
    [letter] = await bus.dead(SEED)
    await bus.retry(SEED, letter.dead_id)
    assert not await bus.dead(SEED)
    [again] = await everything(bus, "g", "c")
    assert again.message == delivery.message
    assert again.tries == 1


@pytest.mark.parametrize("dead_id", ["0-1", "17", "nonsense"])
async def test_a_dead_letter_that_is_not_there_cannot_be_retried(
    place: BusPlace, dead_id: str
) -> None:
    bus = await place.open()
    with pytest.raises(BusError, match=f"no dead letter '{dead_id}'"):
        await bus.retry(SEED, dead_id)


async def test_replay_yields_what_is_there_and_concerns_no_group(place: BusPlace) -> None:
    bus = await place.open()
    await bus.join([SEED], "g")
    await bus.publish([message(number) for number in range(1200)])
    kept = [entry async for entry in bus.replay(SEED)]
    assert numbers([each for _, each in kept]) == list(range(1200))
    positions = [position for position, _ in kept]
    some = [entry async for entry in bus.replay(SEED, since=positions[3], until=positions[5])]
    assert some == kept[3:6]
    assert not [entry async for entry in bus.replay(RACE)]
    [lag] = await bus.lag()
    assert (lag.waiting, lag.pending) == (1200, 0)


async def test_lag_says_what_waits_what_is_pending_and_how_old_it_is(place: BusPlace) -> None:
    bus = await place.open()
    await bus.join([SEED], "g")
    await bus.join([RACE], "h")
    await bus.publish([message(number) for number in range(5)])
    found = await bus.consume([SEED], group="g", consumer="c", limit=2)
    await asyncio.sleep(1.1)
    by_group = {lag.group: lag for lag in await bus.lag()}
    assert set(by_group) == {"g", "h"}
    assert by_group["g"].topic is SEED
    assert (by_group["g"].waiting, by_group["g"].pending) == (3, 2)
    assert 0.05 <= by_group["g"].oldest_seconds < 60.0
    assert by_group["g"].consumers == 1
    # Nobody has read for either since before the pause.
    assert all(1.0 <= lag.idle_seconds < 60.0 for lag in by_group.values())
    assert (by_group["h"].waiting, by_group["h"].pending) == (0, 0)
    assert by_group["h"].oldest_seconds == 0.0
    await bus.ack(found)
    await bus.ack(await everything(bus, "g", "c"))
    [lag] = [lag for lag in await bus.lag() if lag.group == "g"]
    assert (lag.waiting, lag.pending, lag.oldest_seconds) == (0, 0, 0.0)


async def test_trimming_keeps_what_retention_asks_for(place: BusPlace) -> None:
    bus = await place.open(keep_messages=300)
    await bus.join([SEED], "g")
    await bus.publish([message(number) for number in range(1000)])
    await bus.ack(await everything(bus, "g", "c"))
    removed = await bus.trim()
    kept = numbers([each async for _, each in bus.replay(SEED)])
    # A server removes whole blocks of entries: up to a hundred more may stay.
    assert kept == list(range(removed, 1000))
    assert 300 <= len(kept) <= 400
    assert await bus.trim() == 0


async def test_trimming_never_passes_what_a_group_still_has_to_get(place: BusPlace) -> None:
    bus = await place.open(keep_messages=1)
    await bus.join([SEED], "fast")
    await bus.join([SEED], "slow")
    await bus.publish([message(number) for number in range(1000)])
    await bus.ack(await everything(bus, "fast", "c"))
    await bus.ack(await bus.consume([SEED], group="slow", consumer="c", limit=500))
    await bus.trim()
    assert numbers(await everything(bus, "slow", "c", limit=500)) == list(range(500, 1000))


async def test_trimming_never_passes_what_a_group_has_pending(place: BusPlace) -> None:
    bus = await place.open(keep_messages=1)
    await bus.join([SEED], "g")
    await bus.publish([message(number) for number in range(1000)])
    found = await everything(bus, "g", "c")
    await bus.ack([delivery for delivery in found if delivery.message.event_id != "e400"])
    await bus.trim()
    again = await place.open()
    await again.join([SEED], "g")
    assert numbers(await everything(again, "g", "c")) == [400]


async def test_trimming_removes_what_is_too_old_even_where_it_is_little(place: BusPlace) -> None:
    bus = await place.open(keep_seconds=1.0)
    await bus.join([SEED], "g")
    await bus.publish([message(number) for number in range(10)])
    await bus.ack(await bus.consume([SEED], group="g", consumer="c", limit=6))
    assert await bus.trim() == 0
    await asyncio.sleep(2.1)
    assert await bus.trim() == 6
    assert numbers(await everything(bus, "g", "c")) == [6, 7, 8, 9]


async def test_a_group_that_nobody_reads_for_does_not_hold_up_trimming(place: BusPlace) -> None:
    bus = await place.open(keep_messages=1, group_idle_seconds=0.5)
    await bus.join([SEED], "alive")
    await bus.join([SEED], "dead")
    await bus.join([SEED], "never read for")
    await bus.publish([message(number) for number in range(1000)])
    await bus.consume([SEED], group="dead", consumer="c", limit=10)
    await bus.ack(await everything(bus, "alive", "c"))
    assert await bus.trim() == 0
    await asyncio.sleep(0.6)
    await bus.consume([SEED], group="alive", consumer="c", wait_seconds=0.01)
    assert await bus.trim() >= 900
    assert [lag.group for lag in await bus.lag()] == ["alive"]


async def test_an_empty_bus_has_nothing_to_say(place: BusPlace) -> None:
    bus = await place.open()
    assert not await bus.lag()
    assert not await bus.dead(SEED)
    assert await bus.trim() == 0
    await bus.publish([])
    await bus.ack([])
    await bus.leave([SEED], "nobody")
