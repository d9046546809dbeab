"""What the bus on a server must stand that the one within a process cannot meet."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from esper.contracts.errors import BusError, BusUnavailableError
from support.buses import SEED, BusPlace, everything, message, numbers
from support.fault_proxy import fault_proxy
from support.servers.valkey import ValkeyServer, valkey

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def place(valkey_server: ValkeyServer, tmp_path: Path) -> AsyncIterator[BusPlace]:
    found = BusPlace(valkey_server.url, tmp_path)
    yield found
    await found.close()


@pytest_asyncio.fixture
async def redis(valkey_server: ValkeyServer) -> AsyncIterator[Redis]:
    client = Redis.from_url(valkey_server.url)
    yield client
    await client.aclose()


@pytest.mark.parametrize("fields", [{"m": b"{"}, {"m": b""}, {"x": b"{}"}, {"m": b"1", "n": b"2"}])
async def test_an_entry_that_is_no_message_goes_to_the_dead_letters_and_holds_up_nothing(
    place: BusPlace, redis: Redis, fields: dict[str, bytes]
) -> None:
    bus = await place.open()
    await bus.join([SEED], "g")
    await bus.publish([message(0)])
    await redis.xadd(place.config.stream(SEED), fields)  # type: ignore[arg-type]  # invariant dict
    await bus.publish([message(1)])
    assert numbers(await everything(bus, "g", "c")) == [0, 1]
    [letter] = await bus.dead(SEED)
    assert "is no message" in letter.error
    assert letter.message.sender_id == "unknown"
    assert numbers([each async for _, each in bus.replay(SEED)]) == [0, 1]
    # Retried, it comes back.
    await bus.retry(SEED, letter.dead_id)
    assert not await everything(bus, "g", "c")
    assert len(await bus.dead(SEED)) == 1


async def test_a_message_whose_payload_is_gone_goes_to_the_dead_letters(
    place: BusPlace, tmp_path: Path
) -> None:
    bus = await place.open(claim_bytes=100)
    await bus.join([SEED], "g")
    await bus.publish([message(0, text="x" * 200), message(1)])
    for path in (tmp_path / "claims" / "live").rglob("*"):
        if path.is_file():
            path.unlink()
    assert numbers(await everything(bus, "g", "c")) == [1]
    [letter] = await bus.dead(SEED)
    assert "is gone from the object store" in letter.error


async def test_payloads_are_removed_with_the_messages_that_needed_them(
    place: BusPlace, tmp_path: Path
) -> None:
    bus = await place.open(claim_bytes=100, keep_messages=1)
    await bus.join([SEED], "g")
    for number in range(300):
        await bus.publish([message(number, text="x" * (101 + number % 2))])
    found = await everything(bus, "g", "c")
    await bus.bury(found[0], "bad")
    await bus.ack(found[1:])
    for path in (tmp_path / "claims").rglob("*"):
        if path.is_file():
            os.utime(path, (time.time() - 4000, time.time() - 4000))
    await bus.publish([message(999, text="y" * 200)])
    assert await bus.trim() >= 200
    # Three differ by their text alone; each message's payload is its own.
    left = [path for path in (tmp_path / "claims" / "live").rglob("*") if path.is_file()]
    assert len(left) == 1
    assert len([path for path in (tmp_path / "claims" / "dead").rglob("*") if path.is_file()]) == 0


async def test_dead_letters_are_bounded(place: BusPlace) -> None:
    bus = await place.open(keep_dead=100)
    await bus.join([SEED], "g")
    await bus.publish([message(number) for number in range(400)])
    for delivery in await everything(bus, "g", "c"):
        await bus.bury(delivery, "bad")
    letters = await bus.dead(SEED, limit=1000)
    assert 100 <= len(letters) <= 200
    assert numbers([letters[-1].message]) == [399]


async def test_a_group_that_the_server_lost_is_made_again_from_the_beginning(
    place: BusPlace, redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    bus = await place.open()
    await bus.join([SEED], "g")
    await redis.delete(place.config.stream(SEED))
    await bus.publish([message(5)])
    with caplog.at_level(logging.WARNING):
        assert numbers(await everything(bus, "g", "c")) == [5]
    assert "lost the group g" in caplog.text


@pytest.mark.parametrize("consumer", ["known", "new"])
async def test_a_group_whose_stream_is_gone_is_made_again_before_anyone_publishes(
    place: BusPlace, redis: Redis, consumer: str
) -> None:
    bus = await place.open()
    await bus.join([SEED], "g")
    await bus.consume([SEED], group="g", consumer="known", wait_seconds=0.01)
    await redis.delete(place.config.stream(SEED))
    assert not await bus.consume([SEED], group="g", consumer=consumer, wait_seconds=0.01)
    await bus.publish([message(5)])
    assert numbers(await everything(bus, "g", consumer)) == [5]


async def test_a_group_that_is_lost_again_and_again_is_made_again(
    place: BusPlace, redis: Redis
) -> None:
    bus = await place.open()
    await bus.join([SEED], "g")

    async def lose() -> None:
        for _ in range(300):
            await redis.delete(place.config.stream(SEED))

    losing = asyncio.create_task(lose())
    while not losing.done():
        await bus.consume([SEED], group="g", consumer="c", wait_seconds=0.01)
    await losing
    await bus.publish([message(5)])
    assert numbers(await everything(bus, "g", "c")) == [5]


async def test_consumers_that_are_gone_and_left_nothing_are_forgotten(place: BusPlace) -> None:
    bus = await place.open(group_idle_seconds=0.4)
    await bus.join([SEED], "g")
    for name in ("a", "b", "c"):
        await bus.consume([SEED], group="g", consumer=name, wait_seconds=0.01)
    await bus.publish([message(0)])
    await bus.consume([SEED], group="g", consumer="b")
    await asyncio.sleep(0.5)
    await bus.consume([SEED], group="g", consumer="c", wait_seconds=0.01)
    await bus.trim()
    [lag] = await bus.lag()
    # The one that reads, and the one that has something pending.
    assert (lag.consumers, lag.pending) == (2, 1)


async def test_two_buses_on_a_server_do_not_see_each_other(
    valkey_server: ValkeyServer, tmp_path: Path
) -> None:
    one, two = (BusPlace(valkey_server.url, tmp_path) for _ in range(2))
    first, second = await one.open(), await two.open()
    await first.publish([message(0)])
    assert not [each async for each in second.replay(SEED)]
    await one.close()
    await two.close()


async def test_an_answer_that_was_lost_comes_again(
    valkey_server: ValkeyServer, tmp_path: Path
) -> None:
    with fault_proxy(valkey_server.port) as proxy:
        near, far = BusPlace(valkey_server.url, tmp_path), BusPlace(proxy.url(), tmp_path)
        bus = await near.open()
        far.config = near.config
        reader = await far.open()
        await reader.join([SEED], "g")
        await bus.publish([message(number, text="x" * 1000) for number in range(50)])
        proxy.cut_after = 10_000
        with pytest.raises(BusUnavailableError):
            await reader.consume([SEED], group="g", consumer="c")
        assert proxy.cuts == 1
        proxy.cut_after = None
        found = await everything(reader, "g", "c")
        assert numbers(found) == list(range(50))
        assert {delivery.tries for delivery in found} == {2}
        await near.close()
        await far.close()


async def test_a_silent_server_is_unavailable_within_the_time_limit(
    valkey_server: ValkeyServer, tmp_path: Path
) -> None:
    with fault_proxy(valkey_server.port) as proxy:
        place = BusPlace(proxy.url(), tmp_path)
        bus = await place.open(answer_seconds=0.3)
        await bus.join([SEED], "g")
        proxy.silent = True
        with pytest.raises(BusUnavailableError, match="no answer in time"):
            await bus.publish([message(0)])
        with pytest.raises(BusUnavailableError, match="no answer in time"):
            await bus.consume([SEED], group="g", consumer="c", wait_seconds=0.1)
        proxy.silent = False
        proxy.cut_all()
        await bus.publish([message(0)])
        await place.close()


async def test_a_full_server_is_unavailable_until_there_is_room(tmp_path: Path) -> None:
    with valkey("--save", "", "--maxmemory", "3mb", "--maxmemory-policy", "noeviction") as server:
        place = BusPlace(server.url, tmp_path)
        bus = await place.open()
        large = [message(number, text="x" * 60_000) for number in range(100)]
        await bus.publish(large[:1])
        with pytest.raises(BusUnavailableError, match=r"cannot serve now: .*maxmemory"):
            await bus.publish(large)
        await place.close()


async def test_a_wrong_password_is_said_without_the_password(tmp_path: Path) -> None:
    with valkey("--save", "") as server:
        assert server.ask("CONFIG SET requirepass right") == "+OK"
        place = BusPlace(server.url.replace("//", "//:wrong-secret@"), tmp_path)
        bus = await place.open()
        with pytest.raises(BusError) as caught:
            await bus.publish([message(0)])
        assert "wrong-secret" not in str(caught.value)
        await place.close()
        place = BusPlace(server.url.replace("//", "//:right@"), tmp_path)
        await (await place.open()).publish([message(0)])
        await place.close()


async def test_a_key_that_is_something_else_is_refused(place: BusPlace, redis: Redis) -> None:
    bus = await place.open()
    await redis.set(place.config.stream(SEED), "text")
    with pytest.raises(BusError, match="WRONGTYPE"):
        await bus.publish([message(0)])


async def test_a_cut_off_batch_is_there_as_a_whole_or_not_at_all(
    valkey_server: ValkeyServer, tmp_path: Path
) -> None:
    with fault_proxy(valkey_server.port) as proxy:
        place = BusPlace(proxy.url(), tmp_path)
        bus = await place.open()
        await bus.publish([message(0)])
        proxy.cut_after = 1
        with pytest.raises(BusUnavailableError):
            await bus.publish([message(number) for number in range(1, 101)])
        proxy.cut_after = None
        assert len([each async for each in bus.replay(SEED)]) in {1, 101}
        await place.close()


async def test_a_server_that_forgot_what_it_acknowledged_is_told_again(tmp_path: Path) -> None:
    with valkey("--save", "") as server:
        place = BusPlace(server.url, tmp_path)
        bus = await place.open()
        await bus.publish([message(number) for number in range(3)])
        await bus.publish([message(3)])
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)
        await bus.publish([message(4)])
        await bus.publish([message(5)])
        kept = numbers([each async for _, each in bus.replay(SEED)])
        assert sorted(kept) == [0, 1, 2, 3, 4, 5]
        await place.close()


async def test_a_connection_that_was_cut_is_no_reason_to_send_again(
    valkey_server: ValkeyServer, tmp_path: Path
) -> None:
    with fault_proxy(valkey_server.port) as proxy:
        place = BusPlace(proxy.url(), tmp_path)
        bus = await place.open()
        await bus.publish([message(0)])
        proxy.cut_all()
        await asyncio.sleep(0.1)
        await bus.publish([message(1)])
        assert numbers([each async for _, each in bus.replay(SEED)]) == [0, 1]
        await place.close()
