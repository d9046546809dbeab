"""Ports: what a part needs from the outside, as Protocols. Each has an embedded and a real twin.

The parts that offer these live in different packages and do not know each other; `bootstrap.py`
is where they meet.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from collections.abc import Sequence
from typing import Protocol
from typing import runtime_checkable

from pydantic import BaseModel

from esper.contracts.library import BlueprintRecord
from esper.contracts.library import KernelOutcome
from esper.contracts.library import KernelQuery
from esper.contracts.library import KernelRecord
from esper.contracts.library import KernelRegistration
from esper.contracts.library import Lease
from esper.contracts.library import Signature
from esper.contracts.library import ValidationReport
from esper.contracts.messages import OonaMessage
from esper.contracts.operational import AdaptationDecision
from esper.contracts.operational import GrowthObservation


@runtime_checkable
class Bus(Protocol):
    """Carries messages between parts, at least once, in order within a topic."""

    async def publish(self, message: OonaMessage) -> None:
        """Hand the message over; return when the bus has it safely."""

    def consume(
        self, topics: Sequence[str], *, group: str, consumer: str
    ) -> AsyncIterator[OonaMessage]:
        """Yield messages for this consumer of the group; each is pending until acknowledged."""

    async def acknowledge(self, message: OonaMessage, *, group: str) -> None:
        """Say that the group is done with the message."""

    async def close(self) -> None:
        """Release connections. Unacknowledged messages stay pending."""


@runtime_checkable
class ArtifactStore(Protocol):
    """Keeps byte strings under the SHA-256 of their content. What is stored never changes."""

    def put(self, data: bytes) -> str:
        """Store `data` and return its id; storing the same bytes again changes nothing."""

    def get(self, artifact_id: str) -> bytes:
        """Return the bytes under `artifact_id`.

        Raises:
            KernelNotFoundError: Nothing is stored under that id.
        """

    def exists(self, artifact_id: str) -> bool:
        """Return whether something is stored under `artifact_id`."""

    def list(self) -> Sequence[str]:
        """Return the ids of everything that is stored, sorted."""


@runtime_checkable
class KernelSource(Protocol):
    """Where kernels' bytes come from: a folder, a store, a registry over HTTP."""

    def fetch(self, kernel_id: str) -> bytes:
        """Return the kernel file's bytes, unchecked.

        Raises:
            KernelNotFoundError: The source has no such kernel.
        """

    async def afetch(self, kernel_id: str) -> bytes:
        """Do what `fetch` does without blocking the event loop."""


@runtime_checkable
class SignedSource(KernelSource, Protocol):
    """A source that also knows who signed its kernels."""

    def signatures(self, kernel_id: str) -> Sequence[Signature]:
        """Return the signatures over a kernel's id, unchecked; empty if nobody signed it.

        Raises:
            KernelNotFoundError: The source has no such kernel.
        """


@runtime_checkable
class BlueprintQueue(Protocol):
    """Where a forge gets its work and leaves its results.

    Raises:
        LibraryError: From every method; see `errors.py`. LeaseLostError says that the work is no
            longer this worker's, LibraryUnavailableError that trying later may help.
    """

    def lease(self, worker: str, *, seconds: float) -> Lease | None:
        """Take the blueprint that has waited longest; None if none waits."""

    def renew(self, lease: Lease, *, seconds: float) -> Lease:
        """Keep the lease for so many seconds from now."""

    def complete(
        self, lease: Lease, data: bytes, registration: KernelRegistration, report: ValidationReport
    ) -> KernelRecord:
        """Store a proven kernel and its report, and end the lease: all of it or nothing."""

    def fail(
        self, lease: Lease, *, reason: str, report: ValidationReport | None, retry: bool
    ) -> BlueprintRecord:
        """End the lease without a kernel; `retry` gives the blueprint back to the queue."""


@runtime_checkable
class KernelLibrary(KernelSource, Protocol):
    """The library as a trainer sees it: kernels to enter into races, and reports of what they did.

    Raises:
        LibraryError: From every method; see `errors.py`.
    """

    def search(self, query: KernelQuery, *, limit: int) -> Sequence[KernelRecord]:
        """Return the kernels that fit, those with the largest proven gain first."""

    def deposit(self, data: bytes, registration: KernelRegistration) -> KernelRecord:
        """Store a kernel file; storing the same again changes nothing."""

    def report(self, outcome: KernelOutcome) -> None:
        """Say what a kernel did in a run; saying it again changes nothing."""


@runtime_checkable
class KernelTier(Protocol):
    """A place between memory and the source that may hold a kernel's bytes, and may lose them.

    Its troubles are its own: it logs and counts them, and answers as if it held nothing.
    """

    name: str
    """What its statistics are filed under, for example `redis`."""

    @property
    def errors(self) -> int:
        """How often it could not do what it was asked."""

    def get(self, kernel_id: str) -> bytes | None:
        """Return the bytes, unchecked, or None."""

    def put(self, kernel_id: str, data: bytes) -> None:
        """Keep the bytes, if it can."""

    def discard(self, kernel_id: str) -> None:
        """Forget the bytes, which were found to be damaged."""


@runtime_checkable
class Controller(Protocol):
    """Decides whether, where and how a model should change."""

    def decide(self, observation: GrowthObservation) -> AdaptationDecision | None:
        """Return what to do now, or None for nothing. Same observation, same decision."""


@runtime_checkable
class TelemetrySink(Protocol):
    """Receives events and measurements; must not block and must not raise for its own troubles."""

    def emit(self, event: BaseModel) -> None:
        """Take the event. It is frozen and may be kept."""


@runtime_checkable
class Clock(Protocol):
    """Tells the time. Passed in wherever time matters, so that tests can hold it still."""

    def now(self) -> float:
        """Return seconds since the epoch, UTC."""

    def monotonic(self) -> float:
        """Return seconds since some fixed moment; never runs backwards."""
