from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from esper.contracts.errors import (
    ArtifactError,
    ConfigError,
    KernelError,
    KernelNotFoundError,
    LibraryUnavailableError,
)
from esper.execution.artifact import KernelArtifact
from esper.execution.artifact_check import kernel_id_of
from esper.execution.kernel_cache import ENTRY_BYTES, KernelCache
from kernels import kernel_file, mlp_graph
from support.clocks import StillClock
from support.shelves import Shelf

FILES = {kernel_id_of(data): data for data in (kernel_file(seed=n) for n in range(5))}
IDS = list(FILES)
ONE = ENTRY_BYTES + 31 * 4
"""What one of these kernels counts in the cache."""


def test_second_load_is_a_hit_and_the_same_object() -> None:
    shelf = Shelf(FILES)
    cache = KernelCache(shelf)
    first = cache.load_sync(IDS[0])
    assert cache.load_sync(IDS[0], torch.device("cpu")) is first
    assert asyncio.run(cache.load(IDS[0])) is first
    stats = cache.stats
    assert (stats.hits, stats.misses, stats.loads, stats.entries) == (2, 1, 1, 1)
    assert stats.bytes == ONE
    assert stats.hit_rate == pytest.approx(2 / 3)
    assert shelf.fetched == [IDS[0]]


def test_sixteen_threads_fetch_once() -> None:
    shelf = Shelf(FILES)
    shelf.gate.clear()
    cache = KernelCache(shelf)
    with ThreadPoolExecutor(16) as pool:
        loads = [pool.submit(cache.load_sync, IDS[0]) for _ in range(16)]
        while cache.stats.misses < 16:
            pass
        shelf.gate.set()
        assert len({id(load.result()) for load in loads}) == 1
    assert shelf.fetched == [IDS[0]]


def test_sixteen_tasks_and_eight_threads_fetch_once() -> None:
    shelf = Shelf(FILES)
    shelf.gate.clear()
    cache = KernelCache(shelf)

    async def main() -> None:
        with ThreadPoolExecutor(8) as pool:
            threads = [pool.submit(cache.load_sync, IDS[0]) for _ in range(8)]
            tasks = [asyncio.create_task(cache.load(IDS[0])) for _ in range(16)]
            while cache.stats.misses < 24:  # noqa: ASYNC110  # threads count up, no event fits
                await asyncio.sleep(0.001)
            shelf.gate.set()
            found = [*await asyncio.gather(*tasks), *(thread.result() for thread in threads)]
        assert len({id(artifact) for artifact in found}) == 1

    asyncio.run(main())
    assert shelf.fetched == [IDS[0]]


def test_cancelled_task_does_not_take_the_load_from_the_others() -> None:
    shelf = Shelf(FILES)
    shelf.gate.clear()
    cache = KernelCache(shelf)

    async def main() -> None:
        first, second = (asyncio.create_task(cache.load(IDS[0])) for _ in range(2))
        await asyncio.sleep(0.01)
        first.cancel()
        shelf.gate.set()
        assert (await second).kernel_id == IDS[0]
        assert first.cancelled()

    asyncio.run(main())
    assert shelf.fetched == [IDS[0]]


def test_blocking_load_on_the_loop_does_not_deadlock_with_a_task() -> None:
    cache = KernelCache(Shelf(FILES))

    async def main() -> None:
        task = asyncio.create_task(cache.load(IDS[0]))
        await asyncio.sleep(0)
        assert cache.load_sync(IDS[0]) is await task

    asyncio.run(main())


def test_least_recently_used_kernel_leaves_first() -> None:
    shelf = Shelf(FILES)
    cache = KernelCache(shelf, max_bytes=2 * ONE)
    cache.load_sync(IDS[0])
    cache.load_sync(IDS[1])
    cache.load_sync(IDS[0])
    cache.load_sync(IDS[2])
    assert cache.stats.evictions == 1
    assert cache.stats.bytes == 2 * ONE
    cache.load_sync(IDS[0])
    assert shelf.fetched == IDS[:3]
    cache.load_sync(IDS[1])
    assert shelf.fetched == [*IDS[:3], IDS[1]]


def test_bytes_never_exceed_the_bound() -> None:
    cache = KernelCache(Shelf(FILES), max_bytes=3 * ONE - 1)
    for number in range(40):
        cache.load_sync(IDS[number * 7 % 5])
        assert cache.stats.bytes <= cache.stats.max_bytes
        assert cache.stats.bytes == len(cache) * ONE


def test_kernel_larger_than_the_cache_is_refused_and_evicts_nothing() -> None:
    large = kernel_file(mlp_graph(1000))
    shelf = Shelf({**FILES, kernel_id_of(large): large})
    cache = KernelCache(shelf, max_bytes=2 * ONE)
    cache.load_sync(IDS[0])
    with pytest.raises(KernelError, match="cache_size_mb"):
        cache.load_sync(kernel_id_of(large))
    with pytest.raises(KernelError, match="cache_size_mb"):
        cache.add(large)
    assert cache.stats.entries == 1
    assert cache.stats.failures == 1


def test_failed_load_leaves_nothing_and_the_next_one_tries_again() -> None:
    shelf = Shelf({})
    cache = KernelCache(shelf)
    with pytest.raises(KernelNotFoundError):
        cache.load_sync(IDS[0])
    with pytest.raises(KernelNotFoundError):
        asyncio.run(cache.load(IDS[0]))
    assert (cache.stats.failures, cache.stats.entries, cache.stats.bytes) == (2, 0, 0)
    shelf.files.update(FILES)
    assert cache.load_sync(IDS[0]).kernel_id == IDS[0]


def test_failure_reaches_all_who_wait() -> None:
    shelf = Shelf({})
    shelf.gate.clear()
    cache = KernelCache(shelf)
    with ThreadPoolExecutor(4) as pool:
        loads = [pool.submit(cache.load_sync, IDS[0]) for _ in range(4)]
        while cache.stats.misses < 4:
            pass
        shelf.gate.set()
        assert all(isinstance(load.exception(), KernelNotFoundError) for load in loads)
    assert shelf.fetched == [IDS[0]]


def test_source_that_gives_other_bytes_is_not_believed() -> None:
    cache = KernelCache(Shelf({IDS[0]: FILES[IDS[1]]}))
    with pytest.raises(ArtifactError, match="SHA-256"):
        cache.load_sync(IDS[0])
    assert len(cache) == 0


def test_another_device_is_served_without_another_fetch() -> None:
    shelf = Shelf(FILES)
    cache = KernelCache(shelf)
    cache.load_sync(IDS[0])
    placed = cache.load_sync(IDS[0], "meta")
    assert placed.device.type == "meta"
    assert shelf.fetched == [IDS[0]]
    assert cache.stats.entries == 2
    cache.discard(IDS[0])
    assert cache.stats.bytes == 0


def test_added_kernel_needs_no_source() -> None:
    cache = KernelCache()
    added = cache.add(FILES[IDS[0]])
    assert cache.load_sync(IDS[0]) is added
    cache.clear()
    with pytest.raises(KernelNotFoundError, match="no source"):
        cache.load_sync(IDS[0])


def test_cache_too_small_for_anything_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match="max_bytes is 10"):
        KernelCache(max_bytes=10)


def test_a_cache_is_a_source_itself_and_keeps_what_it_handed_out() -> None:
    shelf = Shelf(FILES)
    cache = KernelCache(shelf, negative_seconds=60.0)
    assert cache.fetch(IDS[0]) == FILES[IDS[0]]
    assert cache.fetch(IDS[1]) == FILES[IDS[1]]
    assert cache.load_sync(IDS[0]).kernel_id == IDS[0]
    assert (cache.stats.hits, cache.stats.loads) == (1, 2)
    for _ in range(2):
        with pytest.raises(KernelNotFoundError):
            cache.fetch("f" * 64)
    assert shelf.fetched == [IDS[0], IDS[1], "f" * 64]


def test_a_device_that_is_full_gets_room_from_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    cache = KernelCache(Shelf(FILES))
    cache.load_sync(IDS[0])
    real, held = KernelArtifact.to, []

    def short(artifact: KernelArtifact, device: torch.device | str) -> KernelArtifact:
        held.append(len(cache))
        if len(held) == 1:
            raise torch.OutOfMemoryError("full")
        return real(artifact, device)

    monkeypatch.setattr(KernelArtifact, "to", short)
    assert cache.load_sync(IDS[1], "meta").kernel_id == IDS[1]
    assert held == [1, 0]


def test_a_source_that_keeps_failing_is_left_alone_and_asked_again_later() -> None:
    class Away(Shelf):
        def fetch(self, kernel_id: str) -> bytes:
            self.fetched.append(kernel_id)
            raise LibraryUnavailableError("the library is away")

    clock, shelf = StillClock(), Away(FILES)
    cache = KernelCache(shelf, clock=clock)
    for _ in range(5):
        with pytest.raises(LibraryUnavailableError, match="away"):
            cache.load_sync(IDS[0])
    assert len(shelf.fetched) == 3
    clock.advance(5)
    with pytest.raises(LibraryUnavailableError):
        cache.load_sync(IDS[0])
    assert len(shelf.fetched) == 4
