"""Tiers below memory, seen through the cache and by themselves."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from esper.contracts.errors import (
    ArtifactError,
    ConfigError,
    KernelNotFoundError,
    LibraryUnavailableError,
    UntrustedKernelError,
)
from esper.contracts.ports import KernelSource, KernelTier, SignedSource
from esper.execution.artifact_check import kernel_id_of
from esper.execution.kernel_cache import KernelCache
from esper.execution.kernel_tiers import SOURCE, TierStatistics
from esper.execution.signatures import sign
from esper.execution.trust import TrustPolicy
from kernels import kernel_file
from support.clocks import StillClock
from support.shelves import Drawer, Shelf, SignedShelf

FILES = {kernel_id_of(data): data for data in (kernel_file(seed=n) for n in range(3))}
ID, OTHER, _ = FILES
DATA = FILES[ID]
KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
POLICY = TrustPolicy.of([KEY.public_key()])


def books(cache: KernelCache) -> dict[str, TierStatistics]:
    return {tier.name: tier for tier in cache.stats.tiers}


def test_the_fakes_fill_the_ports() -> None:
    assert isinstance(Drawer(), KernelTier)
    assert isinstance(Shelf({}), KernelSource)
    assert isinstance(SignedShelf({}, {}), SignedSource)
    assert not isinstance(Shelf({}), SignedSource)


# Which tier answers, and what it leaves behind ----------------------------------------------------


def test_the_nearest_tier_that_has_it_answers_and_the_nearer_ones_get_it() -> None:
    near, middle, far = Drawer("near"), Drawer("middle", {ID: DATA}), Drawer("far", {ID: DATA})
    shelf = Shelf(FILES)
    cache = KernelCache(shelf, tiers=(near, middle, far))
    assert cache.load_sync(ID).kernel_id == ID
    assert near.asked == [("get", ID), ("put", ID)]
    assert near.files == {ID: DATA}
    assert middle.asked == [("get", ID)]
    assert far.asked == shelf.fetched == []


def test_what_comes_from_the_source_is_left_in_every_tier() -> None:
    tiers = Drawer("near"), Drawer("far")
    cache = KernelCache(Shelf(FILES), tiers=tiers)
    asyncio.run(cache.load(ID))
    assert [tier.files for tier in tiers] == [{ID: DATA}] * 2
    cache.clear()
    cache.load_sync(ID)
    found = books(cache)
    assert list(found) == ["near", "far", SOURCE]
    assert (found["near"].hits, found["near"].misses) == (1, 1)
    assert (found["far"].hits, found["far"].misses) == (0, 1)
    assert (found[SOURCE].hits, found[SOURCE].bytes_read) == (1, len(DATA))
    assert cache.stats.loads == 2


def test_a_hit_in_memory_asks_no_tier() -> None:
    tier = Drawer()
    cache = KernelCache(Shelf(FILES), tiers=(tier,))
    cache.load_sync(ID)
    tier.asked.clear()
    cache.load_sync(ID)
    assert tier.asked == []


def test_tiers_serve_without_a_source() -> None:
    cache = KernelCache(tiers=(Drawer(files={ID: DATA}),))
    assert cache.load_sync(ID).kernel_id == ID
    with pytest.raises(KernelNotFoundError, match="no source"):
        cache.load_sync(OTHER)


def test_tiers_serve_while_the_source_cannot() -> None:
    class Away(Shelf):
        def fetch(self, kernel_id: str) -> bytes:
            raise LibraryUnavailableError("the library is away; try later")

    cache = KernelCache(Away({}), tiers=(Drawer(files={ID: DATA}),), negative_seconds=60)
    assert cache.load_sync(ID).kernel_id == ID
    for _ in range(2):  # that it was away is not remembered as that it had nothing
        with pytest.raises(LibraryUnavailableError, match="away"):
            cache.load_sync(OTHER)
    assert (books(cache)[SOURCE].errors, cache.stats.negative_hits) == (2, 0)


def test_time_is_booked_where_it_was_spent() -> None:
    clock = StillClock()

    class Slow(Drawer):
        def get(self, kernel_id: str) -> bytes | None:
            clock.advance(0.25)
            return super().get(kernel_id)

    cache = KernelCache(Shelf(FILES), tiers=(Slow("slow"),), clock=clock)
    cache.load_sync(ID)
    assert books(cache)["slow"].seconds == pytest.approx(0.25)
    assert books(cache)[SOURCE].seconds == 0.0


def test_a_tiers_own_troubles_are_among_the_statistics() -> None:
    tier = Drawer()
    tier.errors = 7
    assert books(KernelCache(tiers=(tier,)))["drawer"].errors == 7


@pytest.mark.parametrize("names", [("same", "same"), (SOURCE,)])
def test_two_tiers_of_one_name_are_a_config_error(names: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="each needs its own"):
        KernelCache(tiers=[Drawer(name) for name in names])


# Damage -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [b"", DATA[:-1], DATA + b" ", FILES[OTHER], b"\x80\x04."])
def test_damaged_bytes_in_a_tier_are_discarded_and_looked_for_further_on(
    bad: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    near, far = Drawer("near", {ID: bad}), Drawer("far", {ID: DATA})
    cache = KernelCache(Shelf({}), tiers=(near, far))
    assert cache.load_sync(ID).kernel_id == ID
    assert near.asked == [("get", ID), ("discard", ID), ("put", ID)]
    assert near.files == {ID: DATA}
    assert books(cache)["near"].damaged == 1
    assert "tier 'near'" in caplog.text


def test_damaged_bytes_from_the_source_are_final_and_kept_nowhere() -> None:
    tier = Drawer()
    cache = KernelCache(Shelf({ID: DATA[:-1]}), tiers=(tier,))
    with pytest.raises(ArtifactError, match="SHA-256"):
        cache.load_sync(ID)
    assert tier.files == {}
    assert len(cache) == 0
    assert books(cache)[SOURCE].damaged == 1


def test_discard_reaches_every_tier() -> None:
    tiers = Drawer("near"), Drawer("far")
    cache = KernelCache(Shelf(FILES), tiers=tiers)
    cache.load_sync(ID)
    cache.discard(ID)
    assert [tier.files for tier in tiers] == [{}, {}]
    assert len(cache) == 0


@pytest.mark.parametrize("text", ["../../etc/passwd", "", ID.upper(), ID[:-1], f"{ID}\n", "*"])
def test_what_is_no_id_never_becomes_a_key_or_a_path(text: str) -> None:
    tier, shelf = Drawer(), Shelf(FILES)
    cache = KernelCache(shelf, tiers=(tier,))
    with pytest.raises(KernelNotFoundError, match="no kernel id"):
        cache.load_sync(text)
    with pytest.raises(KernelNotFoundError, match="no kernel id"):
        asyncio.run(cache.load(text))
    cache.discard(text)
    assert tier.asked == shelf.fetched == []


# Many at once -------------------------------------------------------------------------------------


def test_sixteen_threads_ask_each_tier_once() -> None:
    near, shelf = Drawer("near"), Shelf(FILES)
    shelf.gate.clear()
    cache = KernelCache(shelf, tiers=(near,))
    with ThreadPoolExecutor(16) as pool:
        loads = [pool.submit(cache.load_sync, ID) for _ in range(16)]
        while cache.stats.misses < 16:
            pass
        shelf.gate.set()
        assert len({id(load.result()) for load in loads}) == 1
    assert shelf.fetched == [ID]
    assert near.asked == [("get", ID), ("put", ID)]


def test_two_devices_at_once_fetch_once() -> None:
    shelf = Shelf(FILES)
    shelf.gate.clear()
    cache = KernelCache(shelf)
    devices = ["cpu", "meta"] * 4
    with ThreadPoolExecutor(8) as pool:
        loads = [pool.submit(cache.load_sync, ID, device) for device in devices]
        while cache.stats.misses < 8:
            pass
        shelf.gate.set()
        assert [load.result().device.type for load in loads] == devices
    assert shelf.fetched == [ID]
    assert cache.stats.loads == 1


def test_a_failed_fetch_reaches_every_device_and_blocks_nobody_afterwards() -> None:
    shelf = Shelf({})
    shelf.gate.clear()
    cache = KernelCache(shelf)
    with ThreadPoolExecutor(2) as pool:
        loads = [pool.submit(cache.load_sync, ID, device) for device in ("cpu", "meta")]
        while cache.stats.misses < 2:
            pass
        shelf.gate.set()
        assert all(isinstance(load.exception(), KernelNotFoundError) for load in loads)
    shelf.files.update(FILES)
    assert cache.load_sync(ID, "meta").device.type == "meta"


# Absent kernels -----------------------------------------------------------------------------------


def test_an_absent_kernel_is_asked_for_once_until_the_time_is_over() -> None:
    clock, shelf, tier = StillClock(), Shelf({}), Drawer()
    cache = KernelCache(shelf, tiers=(tier,), negative_seconds=5, clock=clock)
    for _ in range(3):
        with pytest.raises(KernelNotFoundError):
            cache.load_sync(ID)
    with pytest.raises(KernelNotFoundError, match=r"not to be found 0\.0 s ago"):
        asyncio.run(cache.load(ID))
    assert shelf.fetched == [ID]
    assert (cache.stats.negative_hits, cache.stats.misses, cache.stats.failures) == (3, 4, 1)
    clock.advance(5)
    shelf.files.update(FILES)
    assert cache.load_sync(ID).kernel_id == ID


@pytest.mark.parametrize("way", ["discard", "clear"])
def test_an_absence_is_forgotten_on_request(way: str) -> None:
    shelf = Shelf({})
    cache = KernelCache(shelf, negative_seconds=60)
    with pytest.raises(KernelNotFoundError):
        cache.load_sync(ID)
    shelf.files.update(FILES)
    if way == "discard":
        cache.discard(ID)
    else:
        cache.clear()
    assert cache.load_sync(ID).kernel_id == ID


def test_a_kernel_that_is_added_is_absent_no_more() -> None:
    cache = KernelCache(Shelf({}), negative_seconds=60)
    with pytest.raises(KernelNotFoundError):
        cache.load_sync(ID)
    added = cache.add(DATA)
    assert cache.load_sync(ID) is added
    cache.clear()
    with pytest.raises(KernelNotFoundError, match="store it first"):
        cache.load_sync(ID)


# Trust --------------------------------------------------------------------------------------------


def test_an_unsigned_kernel_is_refused_wherever_it_comes_from() -> None:
    tier = Drawer()
    cache = KernelCache(
        SignedShelf(FILES, {OTHER: [sign(OTHER, KEY)]}), tiers=(tier,), trust=POLICY
    )
    assert cache.load_sync(OTHER).kernel_id == OTHER
    with pytest.raises(UntrustedKernelError, match=ID):
        cache.load_sync(ID)
    assert ID not in tier.files
    tier.files[ID] = DATA
    with pytest.raises(UntrustedKernelError, match=ID):
        asyncio.run(cache.load(ID))
    with pytest.raises(UntrustedKernelError, match=ID):
        cache.add(DATA)
    assert len(cache) == 1
    assert cache.add(DATA, signatures=[sign(ID, KEY)]).kernel_id == ID


def test_a_source_that_knows_no_signatures_serves_no_strict_policy() -> None:
    with pytest.raises(UntrustedKernelError, match="signed by nobody"):
        KernelCache(Shelf(FILES), trust=POLICY).load_sync(ID)


def test_the_policy_is_not_asked_again_for_another_device() -> None:
    shelf = SignedShelf(FILES, {ID: [sign(ID, KEY)]})
    cache = KernelCache(shelf, trust=POLICY)
    cache.load_sync(ID)
    shelf.signed.clear()
    assert cache.load_sync(ID, "meta").device.type == "meta"


def test_a_waiting_thread_gets_the_refusal_too() -> None:
    shelf = SignedShelf(FILES, {})
    shelf.gate.clear()
    cache = KernelCache(shelf, trust=POLICY)
    found: list[BaseException] = []

    def load() -> None:
        try:
            cache.load_sync(ID)
        except UntrustedKernelError as error:
            found.append(error)

    threads = [threading.Thread(target=load) for _ in range(3)]
    for thread in threads:
        thread.start()
    while cache.stats.misses < 3:
        pass
    shelf.gate.set()
    for thread in threads:
        thread.join(10)
    assert len(found) == 3
