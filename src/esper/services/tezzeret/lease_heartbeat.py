"""Heartbeat: keeps a lease alive while its blueprint is being built."""

from __future__ import annotations

from threading import Event, Thread
from types import TracebackType
from typing import Final, Self

from esper.contracts.errors import LeaseLostError, LibraryError
from esper.contracts.library import Lease
from esper.contracts.ports import BlueprintQueue
from esper.utils.logging import get_logger

logger = get_logger("tezzeret.heartbeat")

BEATS: Final = 3
"""Renewals in the time of one lease: two may go astray."""


class Heartbeat:
    """Renews a lease from a thread of its own, from `with` until the block ends.

    A library that cannot be reached is asked again at the next beat; whether the lease is still
    ours is then the library's to say, when the result arrives.

    Args:
        queue: Where the lease comes from; used from another thread.
        lease: What to keep.
        seconds: Its length.
    """

    def __init__(self, queue: BlueprintQueue, lease: Lease, *, seconds: float) -> None:
        self.lease = lease
        """The lease as last renewed."""
        self._queue, self._seconds = queue, seconds
        self._over, self._lost = Event(), Event()
        self._thread = Thread(target=self._beat, name="heartbeat", daemon=True)

    def lost(self) -> bool:
        """Whether the lease is somebody else's by now."""
        return self._lost.is_set()

    def pause(self, seconds: float) -> None:
        """Wait, or until the lease is lost."""
        self._lost.wait(seconds)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._over.wait(self._seconds / BEATS):
            try:
                self.lease = self._queue.renew(self.lease, seconds=self._seconds)
            except LeaseLostError as error:
                logger.warning("lease lost", blueprint=self.lease.blueprint.name, why=str(error))
                self._lost.set()
                return
            except LibraryError as error:
                logger.warning("heartbeat not heard", why=str(error))
