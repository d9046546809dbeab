"""Account: what a worker has built, told to whoever listens on the bus."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pydantic import JsonValue

from esper.contracts.base import KernelId
from esper.contracts.enums import TopicNames
from esper.contracts.library import Lease
from esper.contracts.platform_events import BuildFinished, BuildStarted
from esper.contracts.ports import Clock, Publisher


@dataclass
class Ending:
    """How a build ended: with a kernel, or with a reason why there is none."""

    kernel_id: KernelId | None = None
    reason: str = "the library could not be reached before the lease ended"

    def __str__(self) -> str:
        return self.reason if self.kernel_id is None else f"kernel {self.kernel_id}"


class Account:
    """Counts one worker's builds.

    Args:
        worker: Its name.
        clock: Tells the time.
    """

    def __init__(self, worker: str, clock: Clock) -> None:
        self.publisher: Publisher | None = None
        """Who is told; None tells nobody."""
        self._worker, self._clock = worker, clock
        self._building = ""
        self._built = self._failed = 0

    def details(self) -> dict[str, JsonValue]:
        """Figures for signs of life; may be asked from another thread."""
        return {"building": self._building, "built": self._built, "failed": self._failed}

    @contextmanager
    def build(self, lease: Lease) -> Iterator[Ending]:
        """Tell that a build begins, and at the end of the block how it ended.

        Yields:
            What the block fills in.
        """
        identity, began = lease.blueprint.blueprint_id, self._clock.monotonic()
        self._tell(BuildStarted(blueprint_id=identity, worker=self._worker))
        self._building = lease.blueprint.name
        ending = Ending()
        try:
            yield ending
        finally:
            self._building = ""
            self._built += ending.kernel_id is not None
            self._failed += ending.kernel_id is None
            self._tell(
                BuildFinished(
                    blueprint_id=identity,
                    worker=self._worker,
                    seconds=max(0.0, self._clock.monotonic() - began),
                    kernel_id=ending.kernel_id,
                    reason="" if ending.kernel_id is not None else ending.reason,
                )
            )

    def _tell(self, event: BuildStarted | BuildFinished) -> None:
        if self.publisher is not None:
            self.publisher.publish(event, topic=TopicNames.EVENTS_COMPILATION)
