"""KernelCache: checked kernels kept in memory, on the device that they are needed on.

What is not in memory comes from the tiers and the source below it; see `kernel_tiers.py`.
"""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import torch

from esper.contracts.errors import ConfigError, KernelError, KernelNotFoundError
from esper.contracts.library import Signature
from esper.contracts.ports import Clock, KernelSource, KernelTier
from esper.execution.artifact import KernelArtifact, unpack
from esper.execution.artifact_check import ArtifactLimits, is_kernel_id
from esper.execution.circuit_breaker import BreakerConfig
from esper.execution.error_recovery import KINDS, ErrorRecoveryManager
from esper.execution.error_tracker import ErrorKind, ErrorTracker
from esper.execution.kernel_tiers import KernelTiers, TierStatistics
from esper.utils.clock import SystemClock

if TYPE_CHECKING:
    from esper.execution.trust import TrustPolicy

ENTRY_BYTES: Final = 4096
"""What an entry counts beside its weights (graph, manifest), so that none is free."""

SOURCE_BREAKER: Final = BreakerConfig(failures=3, window_seconds=30.0, cooldown_seconds=5.0)
"""When a source that cannot be reached is left alone; a client of a library tries again itself."""

KINDS.add(torch.OutOfMemoryError, ErrorKind.MEMORY)

MOST_ABSENCES: Final = 4096
"""How many are remembered; the oldest leaves first."""

Key = tuple[str, torch.device]


@dataclass(frozen=True, kw_only=True)
class CacheStatistics:
    """What the cache has done so far, and what it holds."""

    hits: int = 0
    misses: int = 0
    """Loads that found nothing in memory; those that joined a load under way are among them."""
    negative_hits: int = 0
    """Loads that were refused from memory: the kernel was not to be found a moment ago."""
    loads: int = 0
    """Kernels that came from a tier or the source, good and trusted."""
    failures: int = 0
    """Loads that ended in an error; nothing of them was kept."""
    evictions: int = 0
    entries: int = 0
    """Kernels held now."""
    bytes: int = 0
    """Bytes held now, at most `max_bytes`."""
    max_bytes: int = 0
    tiers: tuple[TierStatistics, ...] = ()
    """Each tier below memory in the order in which they are asked; the source comes last."""

    @property
    def hit_rate(self) -> float:
        """Hits as a fraction of all requests; 0.0 before the first."""
        requests = self.hits + self.misses
        return self.hits / requests if requests else 0.0


class Absences:
    """Ids that a source did not have lately. Not for several threads at once.

    Args:
        seconds: How long an absence counts; 0 remembers nothing.
        clock: Tells the time.
    """

    def __init__(self, seconds: float, clock: Clock) -> None:
        if not seconds >= 0:
            raise ConfigError(f"negative_seconds is {seconds}; give 0 (off) or more")
        self.seconds = seconds
        self._clock = clock
        self._noted: OrderedDict[str, float] = OrderedDict()

    def note(self, kernel_id: str) -> None:
        """Remember that there is no such kernel now."""
        if self.seconds:
            self._noted[kernel_id] = self._clock.monotonic()
            self._noted.move_to_end(kernel_id)
            if len(self._noted) > MOST_ABSENCES:
                self._noted.popitem(last=False)

    def age(self, kernel_id: str) -> float | None:
        """Seconds since the kernel was found to be absent; None if that is not known any more."""
        noted = self._noted.get(kernel_id)
        if noted is None:
            return None
        age = self._clock.monotonic() - noted
        if age < self.seconds:
            return age
        del self._noted[kernel_id]
        return None

    def forget(self, kernel_id: str) -> None:
        """Forget one kernel's absence."""
        self._noted.pop(kernel_id, None)

    def clear(self) -> None:
        """Forget all."""
        self._noted.clear()


class KernelCache:
    """Least-recently-used cache of `KernelArtifact`, bounded in bytes.

    However many threads and tasks ask for one kernel at once, on whatever devices, it is fetched
    once. Fetching and checking never run on an event loop's thread. Artifacts are shared: do not
    write to their weights (`KernelArtifact.build` copies them).

    Args:
        source: Where kernels come from; None if only tiers and `add` fill the cache.
        max_bytes: Bound on the weights held, plus `ENTRY_BYTES` for each kernel.
        limits: What a kernel may be at most; see `artifact.py`.
        tiers: Places between memory and the source, the nearest first.
        trust: Whose kernels are taken, from wherever they come; None takes everybody's.
        negative_seconds: How long a kernel that the source does not have is not asked for again;
            0 asks each time, which is right where asking costs nothing.
        clock: Tells the time; default: the machine's.
        tracker: Window of recent errors; default one of its own.
    """

    def __init__(
        self,
        source: KernelSource | None = None,
        max_bytes: int = 128 * 2**20,
        *,
        limits: ArtifactLimits | None = None,
        tiers: Sequence[KernelTier] = (),
        trust: TrustPolicy | None = None,
        negative_seconds: float = 0.0,
        clock: Clock | None = None,
        tracker: ErrorTracker | None = None,
    ) -> None:
        if max_bytes < ENTRY_BYTES:
            raise ConfigError(f"max_bytes is {max_bytes}; it must be at least {ENTRY_BYTES}")
        clock = SystemClock() if clock is None else clock
        self.limits = limits
        self._recovery = ErrorRecoveryManager(clock=clock, breaker=SOURCE_BREAKER, tracker=tracker)
        self._below = KernelTiers(
            source, tiers, limits=limits, trust=trust, clock=clock, recovery=self._recovery
        )
        self._absences = Absences(negative_seconds, clock)
        self._lock = threading.Lock()
        self._entries: OrderedDict[Key, KernelArtifact] = OrderedDict()
        self._flights: dict[Key, Future[KernelArtifact]] = {}
        self._fetches: dict[str, Future[KernelArtifact]] = {}
        self._stats = CacheStatistics(max_bytes=max_bytes)
        self._hits = 0  # beside the rest, because a hit must not build a new object

    @property
    def stats(self) -> CacheStatistics:
        """A snapshot of the statistics."""
        tiers = self._below.statistics
        with self._lock:
            return replace(self._stats, hits=self._hits, entries=len(self._entries), tiers=tiers)

    @property
    def trust(self) -> TrustPolicy | None:
        """Whose kernels are taken; None takes everybody's."""
        return self._below.trust

    def load_sync(self, kernel_id: str, device: torch.device | str = "cpu") -> KernelArtifact:
        """Return a kernel, from memory or from the nearest tier that has it; blocks meanwhile.

        Raises:
            KernelNotFoundError: The source has no such kernel, or there is no source.
            ArtifactError: The bytes fail a check.
            UntrustedKernelError: The trust policy refuses it.
            KernelError: The kernel is larger than the whole cache.
            LibraryError: The source is a library, and that cannot serve.
        """
        key = (kernel_id, _placed(device))
        found, flight, is_ours = self._join(key)
        if found is not None:
            return found
        if is_ours:
            self._fly(key, flight)
        return flight.result()

    async def load(self, kernel_id: str, device: torch.device | str = "cpu") -> KernelArtifact:
        """Do what `load_sync` does without blocking the event loop.

        Cancelling the caller does not stop the load: others may be waiting for it.
        """
        key = (kernel_id, _placed(device))
        found, flight, is_ours = self._join(key)
        if found is not None:
            return found
        if is_ours:
            asyncio.get_running_loop().run_in_executor(None, self._fly, key, flight)
        return await asyncio.shield(asyncio.wrap_future(flight))

    def fetch(self, kernel_id: str) -> bytes:
        """Return a kernel's file, checked and trusted, from the nearest tier that has it.

        The kernel is in memory from then on. With this a cache is a `KernelSource` itself.

        Raises:
            EsperError: As `load_sync` does.
        """
        with self._lock:
            self._refuse_absent(kernel_id)
        try:
            artifact, data = self._below.obtain(kernel_id)
        except KernelNotFoundError:
            with self._lock:
                self._absences.note(kernel_id)
            raise
        with self._lock:
            self._keep((kernel_id, artifact.device), artifact)
            self._count(loads=1)
        return data

    def add(
        self, data: bytes, *, signatures: Sequence[Signature] = (), origin: str = "kernel bytes"
    ) -> KernelArtifact:
        """Check a kernel file, keep it (on the CPU) and return it.

        Raises:
            ArtifactError: The bytes fail a check.
            UntrustedKernelError: The trust policy does not take it with these signatures.
            KernelError: The kernel is larger than the whole cache.
        """
        artifact = unpack(data, limits=self.limits, origin=origin)
        self._below.check_trust(artifact.kernel_id, signatures)
        with self._lock:
            self._absences.forget(artifact.kernel_id)
            self._keep((artifact.kernel_id, artifact.device), artifact)
        return artifact

    def discard(self, kernel_id: str) -> None:
        """Drop a kernel from every device and every tier, and that it was absent."""
        with self._lock:
            self._absences.forget(kernel_id)
            for key in [key for key in self._entries if key[0] == kernel_id]:
                self._drop(key)
        if is_kernel_id(kernel_id):
            self._below.discard(kernel_id)

    def clear(self) -> None:
        """Drop all kernels from memory, and what was absent; tiers and counts stay."""
        with self._lock:
            self._absences.clear()
            for key in list(self._entries):
                self._drop(key)

    def __len__(self) -> int:
        return len(self._entries)

    def _join(self, key: Key) -> tuple[KernelArtifact | None, Future[KernelArtifact], bool]:
        """Return the kernel if held, else the load under way, else a new one that is the caller's."""
        with self._lock:
            found = self._entries.get(key)
            if found is not None:
                self._entries.move_to_end(key)
                self._hits += 1
                return found, _NO_FLIGHT, False
            self._count(misses=1)
            flight = self._flights.get(key)
            if flight is not None:
                return None, flight, False
            self._refuse_absent(key[0])
            flight = self._flights[key] = Future()
            return None, flight, True

    def _fly(self, key: Key, flight: Future[KernelArtifact]) -> None:
        """Load, and land with a result or an error in any case, or others would wait for ever."""
        try:
            artifact, fetched = self._obtain(key)
            with self._lock:
                self._keep(key, artifact)
                self._count(loads=int(fetched))
                self._land(key, fetched=fetched)
        except BaseException as error:  # noqa: BLE001  # handed on to all who wait, by the future
            with self._lock:
                self._count(failures=1)
                self._land(key, fetched=True)
            flight.set_exception(error)
        else:
            flight.set_result(artifact)

    def _land(self, key: Key, *, fetched: bool) -> None:
        del self._flights[key]
        if fetched:  # not sooner, or another device would find the kernel neither here nor there
            self._fetches.pop(key[0], None)

    def _refuse_absent(self, kernel_id: str) -> None:
        # What is no id goes no further: in a tier or a source it would be a key, a path or a URL.
        if not is_kernel_id(kernel_id):
            raise KernelNotFoundError(
                f"{kernel_id!r:.80} is no kernel id (64 of 0-9 a-f); give a whole id"
            )
        age = self._absences.age(kernel_id)
        if age is not None:
            self._count(negative_hits=1)
            raise KernelNotFoundError(
                f"kernel {kernel_id} was not to be found {age:.1f} s ago; it is looked for again "
                f"{self._absences.seconds} s after that, or at once after discard()"
            )

    def _obtain(self, key: Key) -> tuple[KernelArtifact, bool]:
        """Return a kernel on its device, and whether this call fetched it."""
        kernel_id, device = key
        with self._lock:
            twin = next((a for (held, _), a in self._entries.items() if held == kernel_id), None)
            if twin is None and (under_way := self._fetches.get(kernel_id)) is None:
                fetch = self._fetches[kernel_id] = Future()
        if twin is not None:
            return self._moved(twin, device), False
        if under_way is not None:  # for another device
            return self._moved(under_way.result(), device), False
        return self._moved(self._fetch(kernel_id, fetch), device), True

    def _moved(self, artifact: KernelArtifact, device: torch.device) -> KernelArtifact:
        """Return the kernel on a device; where its memory is short, the cache makes room first."""

        def with_room() -> KernelArtifact:
            self.clear()
            return artifact.to(device)

        return self._recovery.run(
            "the kernel cache", lambda: artifact.to(device), degraded=with_room
        )

    def _fetch(self, kernel_id: str, fetch: Future[KernelArtifact]) -> KernelArtifact:
        try:
            artifact, _ = self._below.obtain(kernel_id)
            self._check_fits(artifact)
        except BaseException as error:
            if isinstance(error, KernelNotFoundError):
                with self._lock:
                    self._absences.note(kernel_id)
            fetch.set_exception(error)
            raise
        fetch.set_result(artifact)
        return artifact

    def _check_fits(self, artifact: KernelArtifact) -> int:
        size = artifact.nbytes + ENTRY_BYTES
        if size > self._stats.max_bytes:
            raise KernelError(
                f"kernel {artifact.kernel_id} takes {size} bytes, more than the whole cache of "
                f"{self._stats.max_bytes}; enlarge the cache (cache_size_mb) or build it smaller"
            )
        return size

    def _keep(self, key: Key, artifact: KernelArtifact) -> None:
        size = self._check_fits(artifact)
        if key in self._entries:
            self._drop(key)
        while self._stats.bytes + size > self._stats.max_bytes:
            self._drop(next(iter(self._entries)))
            self._count(evictions=1)
        self._entries[key] = artifact
        self._count(bytes=size)

    def _drop(self, key: Key) -> None:
        self._count(bytes=-(self._entries.pop(key).nbytes + ENTRY_BYTES))

    def _count(self, **changes: int) -> None:
        now = self._stats
        self._stats = replace(now, **{name: getattr(now, name) + n for name, n in changes.items()})


_NO_FLIGHT: Final[Future[KernelArtifact]] = Future()


def _placed(device: torch.device | str) -> torch.device:
    """Return the device with its index, so that "cuda" and "cuda:0" are one place."""
    device = torch.device(device)
    index: int | None = device.index  # torch's stubs leave the None out
    if index is None and device.type not in {"cpu", "meta"}:
        return torch.device(device.type, torch.accelerator.current_device_index())
    return device
