from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from esper.contracts.enums import TopicNames
from esper.contracts.errors import BusUnavailableError, RunStoreError
from esper.contracts.messages import StopTraining
from esper.contracts.ports import Bus, Publisher
from esper.contracts.records import RunLine, RunRecords
from esper.services.oona.bus_config import OonaConfig
from esper.services.oona.link import Link
from esper.services.oona.memory_bus import InProcessBus
from esper.services.oona.open import open_bus
from support.clocks import StillClock
from support.servers.valkey import ValkeyServer

TOPIC = TopicNames.TELEMETRY_TRAINING
FAST = OonaConfig(linger_seconds=0.01, backoff_seconds=0.005, longest_backoff_seconds=0.02)


def line(position: int) -> RunRecords:
    body = RunLine(position=position, body={"type": "step", "step": position})
    return RunRecords(run_id="r", attempt=0, lines=(body,))


class KeptBus(InProcessBus):
    """Notes what it took; may be away, or refuse a message."""

    def __init__(self) -> None:
        super().__init__(OonaConfig(), StillClock())
        self.asked = 0
        self.taken: list[int] = []
        self.away = False
        self.refused = -1
        self.closed = False

    async def open(self) -> Bus:
        return self

    async def publish(self, messages: object) -> None:
        self.asked += 1
        if self.away:
            raise BusUnavailableError("away")
        positions = [
            entry["position"]
            for message in messages  # type: ignore[attr-defined]  # handed on as they came
            for entry in message.payload.get("lines", ())
        ]
        if self.refused in positions:
            raise ValueError("not this one")
        self.taken += positions
        await super().publish(messages)  # type: ignore[arg-type]  # the same

    async def close(self) -> None:
        self.closed = True


def wait_until(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.005)


@contextmanager
def black_hole() -> Iterator[str]:
    """A server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"redis://127.0.0.1:{listener.getsockname()[1]}/0"


def test_everything_published_is_sent_before_it_closes() -> None:
    bus = KeptBus()
    link = Link(bus.open, sender_id="t/1", config=FAST)
    for position in range(1000):
        link.publish(line(position), topic=TOPIC)
    link.close()
    assert bus.taken == list(range(1000))
    assert not link.dropped
    assert link.sent < 100
    assert bus.closed


def test_messages_wait_for_a_bus_that_is_away_and_keep_their_order() -> None:
    bus = KeptBus()
    bus.away = True
    link = Link(bus.open, sender_id="t/1", config=FAST)
    for position in range(300):
        link.publish(line(position), topic=TOPIC)
    time.sleep(0.1)
    bus.away = False
    for position in range(300, 400):
        link.publish(line(position), topic=TOPIC)
    wait_until(lambda: len(bus.taken) == 400)
    link.close()
    assert bus.taken == list(range(400))
    assert not link.dropped


def test_a_bus_that_cannot_be_opened_yet_is_opened_later() -> None:
    bus, tries = KeptBus(), []

    async def opening() -> Bus:
        tries.append(1)
        if len(tries) < 4:
            raise BusUnavailableError("not yet")
        return bus

    link = Link(opening, sender_id="t/1", config=FAST)
    link.publish(line(0), topic=TOPIC)
    wait_until(lambda: bus.taken == [0])
    link.close()
    assert len(tries) == 4


def test_what_does_not_fit_is_dropped_and_counted_by_topic() -> None:
    bus = KeptBus()
    bus.away = True
    config = OonaConfig(capacity=100, batch=10, linger_seconds=60.0)
    link = Link(bus.open, sender_id="t/1", config=config)
    link.publish(line(0), topic=TOPIC)
    wait_until(lambda: bus.asked > 0)  # it has that one in hand, and takes no more
    for position in range(1, 250):
        link.publish(line(position), topic=TOPIC)
    link.publish(StopTraining(run_id="r", reason=""), topic=TopicNames.CONTROL_RESULTS)
    assert link.dropped == {TOPIC: 149, TopicNames.CONTROL_RESULTS: 1}
    link.close(0.05)
    assert link.dropped == {TOPIC: 250, TopicNames.CONTROL_RESULTS: 1}
    assert link.sent == 0


def test_a_message_that_the_bus_refuses_is_dropped_alone() -> None:
    bus = KeptBus()
    bus.refused = 1
    link = Link(bus.open, sender_id="t/1", config=FAST)
    for position in range(4):
        # Of runs of their own, so that they are messages of their own.
        link.publish(line(position).model_copy(update={"run_id": str(position)}), topic=TOPIC)
    link.close()
    assert bus.taken == [0, 2, 3]
    assert link.dropped == {TOPIC: 1}
    assert link.sent == 3


def test_a_link_that_ended_drops_and_counts() -> None:
    link = Link(KeptBus().open, sender_id="t/1", config=FAST)
    link.close()
    link.publish(line(0), topic=TOPIC)
    link.close()
    assert link.dropped == {TOPIC: 1}


def test_an_open_that_fails_for_good_drops_everything_and_hurts_nobody() -> None:
    async def opening() -> Bus:
        raise ValueError("no such bus")

    link = Link(opening, sender_id="t/1", config=FAST)
    link.publish(line(0), topic=TOPIC)
    wait_until(lambda: link.dropped == {TOPIC: 1})
    link.publish(line(1), topic=TOPIC)
    link.close()
    assert link.dropped == {TOPIC: 2}


def test_publishing_into_a_black_hole_neither_blocks_nor_fails() -> None:
    config = OonaConfig(capacity=1000, connect_seconds=0.2, answer_seconds=0.2, batch=50)
    with black_hole() as url:
        link = Link(lambda: open_bus(url, config), sender_id="t/1", config=config)
        # Each that waited for an answer would take 0.2 s: all of them longer than a test may.
        for position in range(20_000):
            link.publish(line(position), topic=TOPIC)
        assert len(link._queue) <= 1000
        started = time.monotonic()
        link.close(0.5)
        assert time.monotonic() - started < 30
        # On a busy machine it may still be at its last line.
        link._thread.join(30)
    assert link.dropped == {TOPIC: 20_000}
    assert not link._thread.is_alive()


def test_companions_run_beside_it_and_are_told_to_stop() -> None:
    seen: list[str] = []

    async def companion(bus: Bus, publisher: Publisher, stop: asyncio.Event) -> None:
        seen.append(threading.current_thread().name)
        publisher.publish(line(7), topic=TOPIC)
        await stop.wait()
        seen.append("stopped")

    bus = KeptBus()
    link = Link(bus.open, sender_id="t/1", config=FAST, also=[companion])
    wait_until(lambda: bus.taken == [7])
    link.close()
    assert seen == ["esper-link", "stopped"]


def test_a_companion_that_waits_for_something_says_so_once_and_in_one_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    starts: list[int] = []

    async def companion(bus: Bus, publisher: Publisher, stop: asyncio.Event) -> None:
        starts.append(1)
        raise RunStoreError("the store is full" if len(starts) < 3 else "the store is locked")

    link = Link(KeptBus().open, sender_id="t/1", config=FAST, also=[companion])
    wait_until(lambda: len(starts) > 4)
    link.close()
    told = [record for record in caplog.records if record.levelname == "WARNING"]
    assert [record.getMessage() for record in told] == [
        "Work beside the link waits: the store is full",
        "Work beside the link waits: the store is locked",
    ]
    assert all(record.exc_info is None for record in told)


def test_what_nobody_handles_within_the_process_is_counted() -> None:
    async def companion(bus: Bus, publisher: Publisher, stop: asyncio.Event) -> None:
        await bus.join([TOPIC], "nissa", since="0")
        raise RunStoreError("the store is full")

    link = Link(lambda: open_bus(None), sender_id="t/1", config=FAST, also=[companion])
    for number in range(3):
        link.publish(line(number).model_copy(update={"run_id": str(number)}), topic=TOPIC)
    wait_until(lambda: link.sent == 3)
    link.close(0.1)
    assert link.dropped == {TOPIC: 3}


def test_a_companion_that_fails_is_started_again() -> None:
    starts: list[int] = []

    async def companion(bus: Bus, publisher: Publisher, stop: asyncio.Event) -> None:
        starts.append(1)
        if len(starts) < 3:
            raise RuntimeError("broken")
        await stop.wait()

    link = Link(KeptBus().open, sender_id="t/1", config=FAST, also=[companion])
    wait_until(lambda: len(starts) == 3)
    link.close()


def test_the_observer_beside_it_has_handled_everything_when_it_closes() -> None:
    handled: list[int] = []

    async def observer(bus: Bus, publisher: Publisher, stop: asyncio.Event) -> None:
        await bus.join([TOPIC], "nissa", since="0")
        while not stop.is_set():
            found = await bus.consume([TOPIC], group="nissa", consumer="c", wait_seconds=0.01)
            # Slower than what is published.
            await asyncio.sleep(0.01)
            for delivery in found:
                handled.extend(entry["position"] for entry in delivery.message.payload["lines"])
            await bus.ack(found)

    async def talker(bus: Bus, publisher: Publisher, stop: asyncio.Event) -> None:
        await stop.wait()
        publisher.publish(line(5000), topic=TOPIC)

    link = Link(lambda: open_bus(None), sender_id="t/1", config=FAST, also=[observer, talker])
    for position in range(2000):
        link.publish(line(position), topic=TOPIC)
    link.close(30.0)
    # The last word of a companion, too: the observer stands first and is stopped last.
    assert handled == [*range(2000), 5000]
    assert not link.dropped


def test_a_companion_that_does_not_stop_cannot_keep_it_from_closing() -> None:
    async def stubborn(bus: Bus, publisher: Publisher, stop: asyncio.Event) -> None:
        await asyncio.sleep(3600)

    link = Link(KeptBus().open, sender_id="t/1", config=FAST, also=[stubborn])
    link.publish(line(0), topic=TOPIC)
    link.close(0.2)
    wait_until(lambda: not link._thread.is_alive())


def test_a_link_to_a_server_delivers(valkey_server: ValkeyServer) -> None:
    config = OonaConfig(prefix="link-test:", linger_seconds=0.01)
    link = Link(lambda: open_bus(valkey_server.url, config), sender_id="t/1", config=config)
    for position in range(100):
        link.publish(line(position), topic=TOPIC)
    link.close()

    async def replayed() -> list[int]:
        bus = await open_bus(valkey_server.url, config)
        found = [
            entry["position"]
            async for _, message in bus.replay(TOPIC)
            for entry in message.payload["lines"]
        ]
        await bus.close()
        return found

    assert asyncio.run(replayed()) == list(range(100))
