from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest

from esper.contracts.errors import BusUnavailableError
from esper.contracts.ports import Delivery
from esper.services.oona.bus_config import OonaConfig
from esper.services.oona.consumer import run_consumer
from esper.services.oona.memory_bus import InProcessBus
from support.buses import SEED, message, numbers
from support.clocks import StillClock

pytestmark = pytest.mark.asyncio

CONFIG = OonaConfig(max_tries=3, backoff_seconds=0.001, longest_backoff_seconds=0.002)


class Shaky(InProcessBus):
    """Fails when told to, as a server that is away does."""

    def __init__(self) -> None:
        super().__init__(CONFIG, StillClock())
        self.failing: dict[str, int] = {}

    def _perhaps(self, what: str) -> None:
        if self.failing.get(what, 0):
            self.failing[what] -= 1
            raise BusUnavailableError("away")

    def pending(self) -> int:
        return len(self._topics[SEED].groups["g"].pending)

    async def join(self, *args: object, **options: object) -> None:
        self._perhaps("join")
        await super().join(*args, **options)  # type: ignore[arg-type]  # handed on as they came

    async def consume(self, *args: object, **options: object) -> Sequence[Delivery]:
        self._perhaps("consume")
        return await super().consume(*args, **options)  # type: ignore[arg-type]  # the same

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        self._perhaps("ack")
        await super().ack(deliveries)

    async def bury(self, delivery: Delivery, error: str) -> None:
        self._perhaps("bury")
        await super().bury(delivery, error)


async def consumed(
    bus: InProcessBus,
    handle: Callable[[Sequence[Delivery]], Awaitable[None]],
    until: Callable[[], bool],
) -> None:
    """Run a consumer until the condition holds, and then until it has stopped."""
    stop = asyncio.Event()
    running = asyncio.create_task(
        run_consumer(bus, [SEED], group="g", consumer="c", handle=handle, stop=stop, config=CONFIG)
    )
    async with asyncio.timeout(20):
        while not until():  # noqa: ASYNC110  # what is waited for sets no event
            await asyncio.sleep(0.005)
        stop.set()
        await running


class Recorder:
    """Handles messages; those named fail, for good or so many times."""

    def __init__(
        self, failures: dict[int, int] | None = None, error: Exception | None = None
    ) -> None:
        self.handled: list[int] = []
        self.calls: list[list[int]] = []
        self.failures = failures or {}
        self.error = error or ValueError("bad message")

    async def __call__(self, deliveries: Sequence[Delivery]) -> None:
        self.calls.append(numbers(deliveries))
        for number in numbers(deliveries):
            if self.failures.get(number, 0):
                self.failures[number] -= 1
                raise self.error
        self.handled += numbers(deliveries)


async def settled(bus: InProcessBus) -> bool:
    return not any(lag.waiting or lag.pending for lag in await bus.lag())


async def test_messages_are_handled_in_batches_and_acknowledged() -> None:
    bus, record = Shaky(), Recorder()
    await bus.publish([message(number) for number in range(600)])
    await consumed(bus, record, lambda: len(record.handled) == 600)
    assert record.handled == list(range(600))
    assert len(record.calls) == 3
    assert await settled(bus)


async def test_a_poisonous_message_is_buried_with_its_error_and_the_others_get_through() -> None:
    bus, record = Shaky(), Recorder({2: 1000})
    await bus.publish([message(number) for number in range(5)])
    await consumed(bus, record, lambda: len(record.handled) == 4)
    assert record.handled == [0, 1, 3, 4]
    [letter] = await bus.dead(SEED)
    assert (letter.message.event_id, letter.error) == ("e2", "ValueError: bad message")
    # Once with the others, and then as often as it may be tried.
    assert record.calls.count([2]) == CONFIG.max_tries
    assert await settled(bus)


async def test_a_message_that_works_at_another_try_is_no_dead_letter() -> None:
    bus, record = Shaky(), Recorder({1: 3})
    await bus.publish([message(number) for number in range(3)])
    await consumed(bus, record, lambda: len(record.handled) == 3)
    assert record.handled == [0, 1, 2]
    assert not await bus.dead(SEED)


async def test_a_message_that_was_delivered_too_often_is_buried_unseen() -> None:
    bus, record = Shaky(), Recorder()
    await bus.join([SEED], "g")
    await bus.publish([message(0), message(1)])
    for _ in range(CONFIG.max_tries):
        # Whoever had it died.
        await bus.join([SEED], "g")
        await bus.consume([SEED], group="g", consumer="c", limit=1)
    await consumed(bus, record, lambda: record.handled == [1])
    [letter] = await bus.dead(SEED)
    assert (letter.message.event_id, letter.error) == (
        "e0",
        "delivered 3 times, and nobody was done with it",
    )


async def test_trouble_that_passes_buries_nothing() -> None:
    bus, record = Shaky(), Recorder({1: 50}, OSError("database is away"))
    await bus.publish([message(number) for number in range(3)])
    await consumed(bus, record, lambda: len(record.handled) == 3)
    assert record.handled == [0, 1, 2]
    assert not await bus.dead(SEED)


@pytest.mark.parametrize("what", ["join", "consume", "ack", "bury"])
async def test_a_bus_that_is_away_for_a_while_is_tried_again(what: str) -> None:
    bus, record = Shaky(), Recorder({1: 1000})
    bus.failing[what] = 5
    await bus.publish([message(number) for number in range(3)])
    await consumed(bus, record, lambda: record.handled[-2:] == [0, 2] and not bus.pending())
    assert not bus.failing[what]
    assert len(await bus.dead(SEED)) == 1


async def test_a_consumer_stops_while_the_bus_is_away() -> None:
    bus, record = Shaky(), Recorder()
    bus.failing["join"] = 10**9
    await consumed(bus, record, lambda: bus.failing["join"] < 10**9 - 2)
    bus.failing = {"consume": 10**9}
    await consumed(bus, record, lambda: bus.failing["consume"] < 10**9 - 2)
    assert not record.calls


async def test_what_was_not_handled_before_stopping_stays_pending() -> None:
    bus, record = Shaky(), Recorder({1: 10**9}, OSError("database is away"))
    await bus.publish([message(0), message(1)])
    await consumed(bus, record, lambda: len(record.calls) > 3)
    [lag] = await bus.lag()
    assert lag.pending == 2
    await consumed(bus, retry := Recorder(), lambda: len(retry.handled) == 2)
    assert await settled(bus)
