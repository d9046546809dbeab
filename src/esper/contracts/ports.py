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
