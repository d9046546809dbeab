"""What reaches whom, in which order, and what comes again."""

from __future__ import annotations

import asyncio

import pytest

from esper.contracts.enums import TopicNames
from esper.contracts.errors import BusError
from esper.contracts.messages import OonaMessage
from support.buses import RACE, SEED, BusPlace, everything, message, numbers

pytestmark = pytest.mark.asyncio


async def test_messages_arrive_complete_and_in_order(place: BusPlace) -> None:
    bus = await place.open()
    await bus.join([SEED], "g")
    sent = [
        OonaMessage(
            sender_id="tolaria/é",
            topic=SEED,
            payload={"text": "☃", "list": [1, 2.5, None, {"deep": True}], "big": 2**53},
            trace_id="a" * 32,
            traceparent=f"00-{'a' * 32}-{'b' * 16}-01",
        ),
        *(message(number) for number in range(600)),
    ]
    await bus.publish(sent)
    found = await everything(bus, "g", "c")
    assert [delivery.message for delivery in found] == sent
    assert {(delivery.group, delivery.tries) for delivery in found} == {("g", 1)}


async def test_every_group_gets_every_message_and_one_consumer_of_it_each(place: BusPlace) -> None:
    bus = await place.open()
    await bus.join([SEED], "one")
    await bus.join([SEED], "two")
    await bus.publish([message(number) for number in range(10)])
    first = await bus.consume([SEED], group="one", consumer="a", limit=4)
    second = await bus.consume([SEED], group="one", consumer="b", limit=100)
    assert numbers(first) == [0, 1, 2, 3]
    assert numbers(second) == [4, 5, 6, 7, 8, 9]
    assert numbers(await everything(bus, "two", "a")) == list(range(10))


async def test_a_new_group_begins_now_at_the_beginning_or_at_a_position(place: BusPlace) -> None:
    bus = await place.open()
    await bus.publish([message(number) for number in range(4)])
    positions = [position async for position, _ in bus.replay(SEED)]
    await bus.join([SEED], "now")
    await bus.join([SEED], "all", since="0")
    await bus.join([SEED], "some", since=positions[2])
    await bus.publish([message(4)])
    assert numbers(await everything(bus, "now", "c")) == [4]
    assert numbers(await everything(bus, "all", "c")) == [0, 1, 2, 3, 4]
    assert numbers(await everything(bus, "some", "c")) == [2, 3, 4]


async def test_joining_again_leaves_a_group_where_it_is(place: BusPlace) -> None:
    bus = await place.open()
    await bus.join([SEED], "g", since="0")
    await bus.publish([message(0), message(1)])
    await bus.ack(await bus.consume([SEED], group="g", consumer="c", limit=1))
    await bus.join([SEED, RACE], "g", since="0")
    assert numbers(await everything(bus, "g", "c", [SEED, RACE])) == [1]


async def test_a_group_that_has_not_joined_is_told_so(place: BusPlace) -> None:
    bus = await place.open()
    await bus.join([SEED], "other")
    with pytest.raises(BusError, match=r"'g'.*join"):
        await bus.consume([SEED], group="g", consumer="c", wait_seconds=0.01)


async def test_who_waits_gets_what_is_published_meanwhile_and_else_nothing(place: BusPlace) -> None:
    bus, other = await place.open(), await place.open()
    await bus.join([SEED, RACE], "g")
    assert not await bus.consume([SEED, RACE], group="g", consumer="c", wait_seconds=0.01)
    waiting = asyncio.create_task(
        bus.consume([SEED, RACE], group="g", consumer="c", wait_seconds=30.0)
    )
    await asyncio.sleep(0.05)
    await other.publish([message(7, RACE)])
    assert numbers(await waiting) == [7]


async def test_who_waits_for_several_topics_gets_all_that_was_published_at_once(
    place: BusPlace,
) -> None:
    bus, other = await place.open(), await place.open()
    await bus.join([SEED, RACE], "g")
    waiting = asyncio.create_task(
        bus.consume([SEED, RACE], group="g", consumer="c", wait_seconds=10.0)
    )
    await asyncio.sleep(0.05)
    await other.publish([message(0, RACE), message(1, SEED), message(2, RACE)])
    assert sorted(numbers(await waiting)) == [0, 1, 2]


async def test_a_publication_of_any_size_arrives_whole_and_in_order(place: BusPlace) -> None:
    bus = await place.open()
    await bus.join([SEED, RACE], "g")
    sent = [message(number, SEED if number % 3 else RACE) for number in range(1203)]
    await bus.publish(sent)
    for topic in (SEED, RACE):
        wanted = [each.payload["number"] for each in sent if each.topic is topic]
        assert numbers([each async for _, each in bus.replay(topic)]) == wanted
    assert sorted(numbers(await everything(bus, "g", "c", [SEED, RACE]))) == list(range(1203))
    assert not [letter for topic in (SEED, RACE) for letter in await bus.dead(topic)]


@pytest.mark.parametrize("limit", [1, 2, 5, 20])
async def test_no_more_come_than_asked_for_and_all_come(place: BusPlace, limit: int) -> None:
    bus = await place.open()
    topics = [SEED, RACE, TopicNames.EVENTS_TRAINING]
    await bus.join(topics, "g")
    await bus.publish([message(number, topics[number % 2]) for number in range(30)])
    found: list[int] = []
    empty = 0
    # Topics may take turns: one that has nothing left says so before it is another's.
    while empty < len(topics):
        more = await bus.consume(topics, group="g", consumer="c", limit=limit, wait_seconds=0.01)
        assert len(more) <= limit
        found += numbers(more)
        empty = 0 if more else empty + 1
    assert sorted(found) == list(range(30))
    assert [number for number in found if number % 2] == list(range(1, 30, 2))


async def test_a_busy_topic_fills_what_quiet_ones_leave(place: BusPlace) -> None:
    bus = await place.open()
    await bus.join(list(TopicNames), "g")
    await bus.publish([message(number) for number in range(100)])
    found = await bus.consume(list(TopicNames), group="g", consumer="c", limit=100)
    assert len(found) == 100


async def test_what_a_consumer_left_pending_comes_first_when_it_starts_again(
    place: BusPlace,
) -> None:
    bus = await place.open()
    await bus.join([SEED], "g")
    await bus.publish([message(number) for number in range(20)])
    left = await bus.consume([SEED], group="g", consumer="c", limit=12)
    await bus.ack(left[:2])
    await bus.publish([message(20)])
    again = await place.open()
    await again.join([SEED], "g")
    found = await everything(again, "g", "c", limit=4)
    assert numbers(found) == list(range(2, 21))
    assert [delivery.tries for delivery in found] == [2] * 10 + [1] * 9


async def test_what_is_acknowledged_never_comes_again(place: BusPlace) -> None:
    bus = await place.open(idle_seconds=0.3)
    await bus.join([SEED], "g")
    await bus.publish([message(number) for number in range(5)])
    await bus.ack(await everything(bus, "g", "c"))
    again = await place.open()
    await again.join([SEED], "g")
    await asyncio.sleep(0.4)
    assert not await everything(again, "g", "c")
    assert not await everything(again, "g", "d")


async def test_acknowledging_twice_or_after_the_group_left_changes_nothing(place: BusPlace) -> None:
    bus = await place.open()
    await bus.join([SEED], "g")
    await bus.publish([message(0)])
    found = await everything(bus, "g", "c")
    await bus.ack(found)
    await bus.ack(found)
    await bus.leave([SEED], "g")
    await bus.ack(found)
    assert not await bus.lag()


async def test_what_one_consumer_has_pending_for_too_long_goes_to_another(place: BusPlace) -> None:
    bus = await place.open(idle_seconds=0.2)
    other = await place.open()
    await bus.join([SEED], "g")
    await bus.publish([message(number) for number in range(3)])
    assert len(await everything(bus, "g", "dead")) == 3
    assert not await other.consume([SEED], group="g", consumer="c", wait_seconds=0.0)
    await asyncio.sleep(0.3)
    found = await other.consume([SEED], group="g", consumer="c")
    assert numbers(found) == [0, 1, 2]
    assert {delivery.tries for delivery in found} == {2}
    await other.ack(found)
    await asyncio.sleep(0.3)
    assert not await everything(bus, "g", "dead")


async def test_a_message_that_came_too_often_comes_by_itself(place: BusPlace) -> None:
    bus = await place.open()
    await bus.join([SEED], "g")
    await bus.publish([message(number) for number in range(3)])
    await everything(bus, "g", "c")
    for _ in range(2):
        await bus.join([SEED], "g")
        found = await bus.consume([SEED], group="g", consumer="c")
        assert numbers(found) == [0, 1, 2]
    await bus.ack(found[:1])
    for tries in (4, 5):
        await bus.join([SEED], "g")
        found = await bus.consume([SEED], group="g", consumer="c")
        # The one behind it is not counted with it.
        assert [(delivery.message.event_id, delivery.tries) for delivery in found] == [
            ("e1", tries)
        ]


async def test_a_group_that_left_begins_anew(place: BusPlace) -> None:
    bus = await place.open()
    await bus.join([SEED], "g", since="0")
    await bus.publish([message(0)])
    await everything(bus, "g", "c")
    await bus.leave([SEED], "g")
    with pytest.raises(BusError):
        await bus.consume([SEED], group="g", consumer="c", wait_seconds=0.01)
    await bus.join([SEED], "g", since="0")
    assert [delivery.tries for delivery in await everything(bus, "g", "c")] == [1]


async def test_large_payloads_arrive_like_small_ones(place: BusPlace) -> None:
    bus = await place.open()
    await bus.join([SEED], "g")
    sent = [message(0), message(1, text="x" * 200_000), message(2)]
    await bus.publish(sent)
    assert [delivery.message for delivery in await everything(bus, "g", "c")] == sent
    assert [kept async for _, kept in bus.replay(SEED)] == sent
