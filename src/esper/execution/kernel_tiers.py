"""KernelTiers: what lies below the memory cache: tiers from the nearest to the farthest, then the source.

Nothing that comes out of a tier is believed: its bytes pass every check that a file passes, the
digest first. Bytes that fail are discarded there, and the next tier is asked; only the source has
the last word. What a lower tier had is written to the tiers above it, after it was checked.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from esper.contracts.errors import ArtifactError, ConfigError, EsperError, KernelNotFoundError
from esper.contracts.library import Signature
from esper.contracts.ports import Clock, KernelSource, KernelTier, SignedSource
from esper.execution.artifact import KernelArtifact, unpack
from esper.execution.artifact_check import ArtifactLimits
from esper.execution.error_recovery import ErrorRecoveryManager

if TYPE_CHECKING:
    # At run time only who has keys, and so the package for them, imports it.
    from esper.execution.trust import TrustPolicy

logger = logging.getLogger(__name__)

SOURCE: Final = "source"
"""What the source's statistics are filed under."""


@dataclass(frozen=True, kw_only=True)
class TierStatistics:
    """What one tier, or the source, has done so far."""

    name: str
    """`source`, or the tier's own name."""
    hits: int = 0
    """Requests that it answered with a good kernel."""
    misses: int = 0
    """Requests for what it did not have, or could not give."""
    damaged: int = 0
    """Requests that it answered with bytes that failed a check; nothing of them was used."""
    errors: int = 0
    """Troubles of its own: timeouts, refused connections, refused writes."""
    bytes_read: int = 0
    """Size of the good kernels that it gave."""
    seconds: float = 0.0
    """Time that asking it took, checks included."""


class KernelTiers:
    """Finds a kernel below memory, checks it, and leaves it in the tiers that did not have it.

    Args:
        source: Asked last; None if there is none.
        tiers: Asked in this order.
        limits: What a kernel may be at most.
        trust: Whose kernels are taken; None takes everybody's.
        clock: Times the requests.
        recovery: The source is asked through it: one that keeps failing is left alone for a while.
    """

    def __init__(
        self,
        source: KernelSource | None,
        tiers: Sequence[KernelTier],
        *,
        limits: ArtifactLimits | None,
        trust: TrustPolicy | None,
        clock: Clock,
        recovery: ErrorRecoveryManager,
    ) -> None:
        names = [tier.name for tier in tiers]
        if len({*names, SOURCE}) <= len(names):
            raise ConfigError(f"the tiers' names are {names}; each needs its own, not {SOURCE!r}")
        self.source = source
        self.trust = trust
        self._tiers = tuple(tiers)
        self._limits = limits
        self._clock = clock
        self._recovery = recovery
        self._lock = threading.Lock()
        self._books = {name: TierStatistics(name=name) for name in (*names, SOURCE)}

    @property
    def statistics(self) -> tuple[TierStatistics, ...]:
        """A snapshot, in the order in which the tiers are asked; the source comes last."""
        with self._lock:
            books = dict(self._books)
        own = [replace(books.pop(tier.name), errors=tier.errors) for tier in self._tiers]
        return (*own, *books.values())

    def obtain(self, kernel_id: str) -> tuple[KernelArtifact, bytes]:
        """Return a kernel on the CPU and its file, checked and trusted; blocks while it is fetched.

        Raises:
            KernelNotFoundError: The source has no such kernel, or there is no source.
            ArtifactError: The source's bytes fail a check.
            UntrustedKernelError: The policy refuses the kernel.
            EsperError: Whatever else the source raises, LibraryUnavailableError for one.
        """
        without: list[KernelTier] = []
        for tier in self._tiers:
            found = self._from_tier(tier, kernel_id)
            if found is not None:
                break
            without.append(tier)
        else:
            found = self._from_source(kernel_id)
        self._check_trust(kernel_id)
        for tier in without:
            tier.put(kernel_id, found[1])
        return found

    def discard(self, kernel_id: str) -> None:
        """Drop a kernel from every tier."""
        for tier in self._tiers:
            tier.discard(kernel_id)

    def check_trust(self, kernel_id: str, signatures: Sequence[Signature]) -> None:
        """Hold a kernel from elsewhere to the policy.

        Raises:
            UntrustedKernelError: The policy refuses the kernel.
        """
        if self.trust is not None:
            self.trust.check(kernel_id, signatures)

    def _from_tier(self, tier: KernelTier, kernel_id: str) -> tuple[KernelArtifact, bytes] | None:
        started = self._clock.monotonic()
        data = tier.get(kernel_id)
        if data is None:
            self._book(tier.name, started, misses=1)
            return None
        try:
            artifact = self._checked(data, kernel_id, f"kernel {kernel_id} in tier {tier.name!r}")
        except ArtifactError as error:
            self._book(tier.name, started, damaged=1)
            logger.warning("%s It is discarded there, and looked for further on.", error)
            tier.discard(kernel_id)
            return None
        self._book(tier.name, started, hits=1, bytes_read=len(data))
        return artifact, data

    def _from_source(self, kernel_id: str) -> tuple[KernelArtifact, bytes]:
        source = self.source
        if source is None:
            raise KernelNotFoundError(
                f"kernel {kernel_id} is not in the cache, and the cache has no source; "
                "give KernelCache a source, or add() the file's bytes"
            )
        started = self._clock.monotonic()
        try:
            data = self._recovery.run("the kernel source", lambda: source.fetch(kernel_id))
            artifact = self._checked(data, kernel_id, f"kernel {kernel_id}")
        except KernelNotFoundError:
            self._book(SOURCE, started, misses=1)
            raise
        except ArtifactError:
            self._book(SOURCE, started, damaged=1)
            raise
        except (EsperError, OSError):
            self._book(SOURCE, started, misses=1, errors=1)
            raise
        self._book(SOURCE, started, hits=1, bytes_read=len(data))
        return artifact, data

    def _checked(self, data: bytes, kernel_id: str, origin: str) -> KernelArtifact:
        return unpack(data, expected_id=kernel_id, limits=self._limits, origin=origin)

    def _check_trust(self, kernel_id: str) -> None:
        if self.trust is None:
            return
        # Always the source's: a tier holds bytes only, and whoever can write there proves nothing.
        source = self.source
        signatures = source.signatures(kernel_id) if isinstance(source, SignedSource) else ()
        self.trust.check(kernel_id, signatures)

    def _book(
        self,
        name: str,
        started: float,
        *,
        hits: int = 0,
        misses: int = 0,
        damaged: int = 0,
        errors: int = 0,
        bytes_read: int = 0,
    ) -> None:
        taken = self._clock.monotonic() - started
        with self._lock:
            now = self._books[name]
            self._books[name] = TierStatistics(
                name=name,
                hits=now.hits + hits,
                misses=now.misses + misses,
                damaged=now.damaged + damaged,
                errors=now.errors + errors,
                bytes_read=now.bytes_read + bytes_read,
                seconds=now.seconds + taken,
            )
