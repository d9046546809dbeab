"""The port KernelTier: one suite for the fake and for Redis on a real server; then what only Redis has."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager

import pytest

from esper.contracts.errors import ArtifactError, KernelNotFoundError
from esper.contracts.ports import KernelTier
from esper.execution.artifact_check import kernel_id_of
from esper.execution.cache_config import RedisTierConfig
from esper.execution.circuit_breaker import BreakerConfig
from esper.execution.kernel_cache import KernelCache
from esper.execution.redis_tier import RedisTier
from kernels import kernel_file
from support.clocks import StillClock
from support.servers.server import HOST, free_port
from support.servers.valkey import ValkeyServer, valkey
from support.shelves import Drawer, Shelf

DATA = kernel_file()
ID = kernel_id_of(DATA)
OTHER = kernel_id_of(kernel_file(seed=1))
QUICK = RedisTierConfig(
    timeout_seconds=0.1, breaker=BreakerConfig(failures=2, window_seconds=60, cooldown_seconds=10)
)


@pytest.fixture(params=["drawer", "redis"])
def tier(request: pytest.FixtureRequest) -> Iterator[KernelTier]:
    if request.param == "drawer":
        yield Drawer()
    else:
        with RedisTier(request.getfixturevalue("valkey_place")) as tier:
            yield tier


# The suite ----------------------------------------------------------------------------------------


def test_a_tier_gives_back_what_it_was_given(tier: KernelTier) -> None:
    assert isinstance(tier, KernelTier)
    assert tier.get(ID) is None
    tier.put(ID, DATA)
    assert tier.get(ID) == DATA
    assert tier.get(OTHER) is None
    assert tier.errors == 0


def test_a_tier_keeps_bytes_of_every_kind_and_size(tier: KernelTier) -> None:
    for size in (1, 2, 65_535, 65_536, 3_000_000):
        data = bytes(range(256)) * (size // 256 + 1)
        tier.put(ID, data[:size])
        assert tier.get(ID) == data[:size]
    tier.put(ID, b"\r\n$-1\r\n")
    assert tier.get(ID) == b"\r\n$-1\r\n"


def test_a_tier_forgets_what_is_discarded(tier: KernelTier) -> None:
    tier.put(ID, DATA)
    tier.discard(ID)
    tier.discard(OTHER)
    assert tier.get(ID) is None
    assert tier.errors == 0


def test_many_threads_may_ask_a_tier_at_once(tier: KernelTier) -> None:
    tier.put(ID, DATA)
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: tier.get(ID), range(64))) == {DATA}
    assert tier.errors == 0


def test_a_cache_over_a_tier_fetches_once_for_two_processes_worth_of_memory(
    tier: KernelTier,
) -> None:
    shelf = Shelf({ID: DATA})
    for _ in range(2):
        assert KernelCache(shelf, tiers=(tier,)).load_sync(ID).kernel_id == ID
    assert shelf.fetched == [ID]


def test_what_was_damaged_in_a_tier_is_mended_from_the_source(tier: KernelTier) -> None:
    tier.put(ID, DATA[:-1] + b"!")
    cache = KernelCache(Shelf({ID: DATA}), tiers=(tier,))
    assert cache.load_sync(ID).kernel_id == ID
    assert cache.stats.tiers[0].damaged == 1
    assert tier.get(ID) == DATA


# Redis on a real server ---------------------------------------------------------------------------


def test_redis_forgets_a_kernel_after_its_lifetime(
    valkey_server: ValkeyServer, valkey_place: str
) -> None:
    with RedisTier(valkey_place, RedisTierConfig(lifetime_seconds=1000)) as tier:
        tier.put(ID, DATA)
    seconds = int(valkey_server.ask(f"TTL esper:kernel:{ID}").removeprefix(":"))
    assert 0 < seconds <= 1000


def test_redis_neither_writes_nor_reads_what_is_too_large(valkey_place: str) -> None:
    with RedisTier(valkey_place) as wide:
        wide.put(ID, DATA)
        with RedisTier(valkey_place, RedisTierConfig(max_bytes=len(DATA))) as exact:
            assert exact.get(ID) == DATA
        with RedisTier(valkey_place, RedisTierConfig(max_bytes=len(DATA) - 1)) as narrow:
            assert narrow.get(ID) is None
            assert narrow.errors == 1
            narrow.put(OTHER, DATA)
            assert wide.get(OTHER) is None


def test_a_key_that_is_something_elses_is_counted_and_missed(
    valkey_server: ValkeyServer, valkey_place: str
) -> None:
    valkey_server.ask(f"LPUSH esper:kernel:{ID} not-a-kernel")
    with RedisTier(valkey_place, QUICK) as tier:
        for count in (1, 2, 3):  # an answer, if a bad one: the circuit stays closed
            assert tier.get(ID) is None
            assert tier.errors == count
        tier.put(OTHER, DATA)
        assert tier.get(OTHER) == DATA


def test_a_full_server_is_counted_and_the_load_goes_on() -> None:
    full = ("--save", "", "--maxmemory", "2mb", "--maxmemory-policy", "noeviction")
    with valkey(*full) as server, RedisTier(server.url) as tier:
        tier.put(OTHER, b"x" * 4_000_000)
        tier.put(OTHER, b"x" * 4_000_000)
        assert tier.errors >= 1
        assert KernelCache(Shelf({ID: DATA}), tiers=(tier,)).load_sync(ID).kernel_id == ID


def test_a_wrong_password_is_counted_and_never_logged(caplog: pytest.LogCaptureFixture) -> None:
    with valkey() as server:
        server.ask("CONFIG SET requirepass open/sesame")
        url = f"redis://:open%2Fsesame@{HOST}:{server.port}/0"
        with RedisTier(url) as tier:
            tier.put(ID, DATA)
            assert tier.get(ID) == DATA
        with RedisTier(url.replace("sesame", "barley")) as tier:
            assert tier.get(ID) is None
            assert tier.errors == 1
    assert "going on without it" in caplog.text
    assert "barley" not in caplog.text


# Redis that is not there --------------------------------------------------------------------------


@contextmanager
def refusing() -> Iterator[str]:
    """Nobody listens."""
    yield f"redis://{HOST}:{free_port()}/0"


@contextmanager
def silent() -> Iterator[str]:
    """Connections open, and nothing is ever answered."""
    with socket.create_server((HOST, 0), backlog=128) as hole:
        yield f"redis://:password@{HOST}:{hole.getsockname()[1]}/3"


@contextmanager
def unreachable() -> Iterator[str]:
    """Connections do not even open: the queue of a server that accepts none is full."""
    with ExitStack() as stack, socket.create_server((HOST, 0), backlog=0) as hole:
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(hole.getsockname())
        yield f"redis://{HOST}:{hole.getsockname()[1]}/0"


@contextmanager
def paused() -> Iterator[str]:
    """A real server that stopped."""
    with valkey() as server:
        server.pause()
        yield server.url
        server.resume()


# A tier that waited without bound, or tried again and again, would not come to the end in time.
@pytest.mark.parametrize("place", [refusing, silent, unreachable, paused])
def test_a_server_that_does_not_answer_costs_its_timeout_and_is_then_left_alone(
    place: Callable[[], AbstractContextManager[str]], caplog: pytest.LogCaptureFixture
) -> None:
    clock = StillClock()
    with place() as url, RedisTier(url, QUICK, clock=clock) as tier:
        cache = KernelCache(Shelf({ID: DATA}), tiers=(tier,), clock=clock)
        assert cache.load_sync(ID).kernel_id == ID  # one read, one write: the circuit opens
        assert tier.errors == 2
        cache.clear()
        assert cache.load_sync(ID).kernel_id == ID
        assert tier.errors == 2
        clock.advance(10)
        assert tier.get(ID) is None  # the one trial
        assert tier.get(ID) is None
        assert tier.errors == 3
    assert "left alone for a while" in caplog.text
    assert "password" not in caplog.text


def test_a_server_that_comes_back_is_used_again() -> None:
    clock = StillClock()
    with valkey() as server, RedisTier(server.url, QUICK, clock=clock) as tier:
        tier.put(ID, DATA)
        server.kill()
        assert [tier.get(ID), tier.get(ID), tier.get(ID)] == [None, None, None]
        assert tier.errors == 2
        server.start()
        clock.advance(10)
        tier.put(ID, DATA)
        assert tier.get(ID) == DATA
        assert tier.errors == 2


def test_answers_that_are_no_redis_are_counted_and_missed() -> None:
    with socket.create_server((HOST, 0)) as server, ThreadPoolExecutor(1) as pool:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        answering = pool.submit(answer)
        with RedisTier(f"redis://{HOST}:{server.getsockname()[1]}/0", QUICK) as tier:
            assert tier.get(ID) is None
            assert tier.errors == 1
        answering.result()


def test_an_answer_in_drops_is_not_waited_for() -> None:
    over = threading.Event()
    with socket.create_server((HOST, 0)) as server, ThreadPoolExecutor(1) as pool:

        def drip() -> None:
            connection, _ = server.accept()
            with connection, contextlib.suppress(OSError):
                connection.recv(1000)
                connection.sendall(b"$1000000\r\n")
                while not over.wait(0.02):
                    connection.sendall(b"x")

        dripping = pool.submit(drip)
        config = RedisTierConfig(timeout_seconds=5, answer_seconds=0.2)
        try:
            with RedisTier(f"redis://{HOST}:{server.getsockname()[1]}/0", config) as tier:
                assert tier.get(ID) is None
                assert tier.errors == 1
        finally:
            over.set()
        dripping.result()


def test_a_refusal_of_the_last_resort_is_still_an_error(valkey_place: str) -> None:
    with RedisTier(valkey_place) as tier:
        with pytest.raises(KernelNotFoundError):
            KernelCache(Shelf({}), tiers=(tier,)).load_sync(ID)
        with pytest.raises(ArtifactError):
            KernelCache(Shelf({ID: b"junk"}), tiers=(tier,)).load_sync(ID)
        assert tier.get(ID) is None


def test_connections_are_quiet(valkey_place: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), RedisTier(valkey_place) as tier:
        tier.put(ID, DATA)
        assert tier.get(ID) == DATA
    assert caplog.text == ""
