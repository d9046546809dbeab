"""Ports: what a part needs from the outside, as Protocols. Each has an embedded and a real twin.

The parts that offer these live in different packages and do not know each other; `bootstrap.py`
is where they meet.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from pydantic import BaseModel

from esper.contracts.enums import TopicNames
from esper.contracts.library import (
    BlueprintRecord,
    KernelOutcome,
    KernelQuery,
    KernelRecord,
    KernelRegistration,
    Lease,
    Signature,
    ValidationReport,
)
from esper.contracts.messages import OonaMessage
from esper.contracts.operational import AdaptationDecision, GrowthObservation


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A message on its way to one consumer of a group; pending until it is acknowledged."""

    message: OonaMessage
    """The message, payload and all."""
    position: str
    """Where it stands in its topic; grows from message to message."""
    group: str
    """Group that it was delivered to."""
    tries: int = 1
    """How often it was delivered to the group, this time included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A message that a group gave up."""

    dead_id: str
    """Identity among the dead letters of its topic."""
    message: OonaMessage
    """The message, unchanged."""
    group: str
    """Who gave it up."""
    error: str
    """The last failure."""
    tries: int
    """How often it was tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupLag:
    """How far a group is behind its topic."""

    topic: TopicNames
    """The topic."""
    group: str
    """The group."""
    waiting: int
    """Messages that nobody of the group was given yet."""
    pending: int
    """Messages that were delivered and not acknowledged."""
    oldest_seconds: float
    """Age of the oldest message that is waiting or pending, in seconds; 0.0 where there is none."""
    consumers: int
    """Consumers that the group knows."""
    idle_seconds: float = 0.0
    """How long nobody has read for the group."""


@runtime_checkable
class Bus(Protocol):
    """Carries messages between parts: at least once, in order within a topic, in groups.

    Every message reaches every group, and within a group one consumer. A message that was
    delivered is pending until it is acknowledged; what a consumer left pending when it died goes
    to another one. Topics are trimmed, but never beyond what a group still has to get or has
    pending.

    Raises:
        BusUnavailableError: From every method: the server cannot be reached, or does not answer.
    """

    async def publish(self, messages: Sequence[OonaMessage]) -> None:
        """Hand messages over, in order; return when the bus has them safely."""

    async def join(self, topics: Sequence[TopicNames], group: str, *, since: str = "$") -> None:
        """Make a group, unless it exists.

        It gets what is published from now on, or from the position `since` on (`0` is the
        beginning of what is still there).
        """

    async def consume(
        self,
        topics: Sequence[TopicNames],
        *,
        group: str,
        consumer: str,
        limit: int = 256,
        wait_seconds: float = 1.0,
    ) -> Sequence[Delivery]:
        """Return up to `limit` messages for this consumer, or none after `wait_seconds`.

        First come those that the consumer left pending before it was started again, then those
        that other consumers of the group have left pending for too long, then new ones.
        """

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Say that the group is done with these messages."""

    async def bury(self, delivery: Delivery, error: str) -> None:
        """Give a message up: it goes to the dead letters of its topic, and is done with."""

    def replay(
        self, topic: TopicNames, *, since: str = "0", until: str | None = None
    ) -> AsyncIterator[tuple[str, OonaMessage]]:
        """Yield what a topic still holds, with positions, in order; no group is concerned."""

    async def dead(self, topic: TopicNames, *, limit: int = 100) -> Sequence[DeadLetter]:
        """Return the dead letters of a topic, the oldest first."""

    async def retry(self, topic: TopicNames, dead_id: str) -> None:
        """Publish a dead letter again, under its own event id, and take it off the list.

        Raises:
            BusError: There is no such dead letter.
        """

    async def lag(self) -> Sequence[GroupLag]:
        """Return how far every group is behind each of its topics."""

    async def trim(self) -> int:
        """Remove what every group is done with and retention no longer asks for; return how many."""

    async def leave(self, topics: Sequence[TopicNames], group: str) -> None:
        """Remove a group, with whatever it had pending."""

    async def close(self) -> None:
        """Release connections. Unacknowledged messages stay pending."""


@runtime_checkable
class Publisher(Protocol):
    """Sends in the background. Never blocks and never raises: what cannot be sent is counted."""

    def publish(
        self,
        body: BaseModel,
        *,
        topic: TopicNames,
        trace_id: str | None = None,
        traceparent: str | None = None,
    ) -> None:
        """Take the command or event; it is frozen and may be kept."""

    @property
    def dropped(self) -> Mapping[TopicNames, int]:
        """Messages that were given up, by topic, so far."""


@runtime_checkable
class KernelSource(Protocol):
    """Where kernels' bytes come from: a folder, a store, a registry over HTTP."""

    def fetch(self, kernel_id: str) -> bytes:
        """Return the kernel file's bytes, unchecked.

        Raises:
            KernelNotFoundError: The source has no such kernel.
        """


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
        """Return what to do now, or None for nothing. Same observation and state, same decision."""


@runtime_checkable
class RemembersState(Protocol):
    """A controller that learns or remembers: its state goes into a run's checkpoints."""

    def state_dict(self) -> dict[str, Any]:
        """Return everything that later decisions rest on, as tensors and plain values."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved state."""


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
