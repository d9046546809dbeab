"""KeptProcess: a process that is started again, after ever longer pauses, whenever it ends untold."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from esper.contracts.ports import Clock
from esper.utils.backoff import Backoff
from esper.utils.stop import Stop

_SLICE: Final = 0.1


class Child(Protocol):
    """A process that was started: a `subprocess.Popen`, for example."""

    @property
    def pid(self) -> int:
        """Its process id."""

    def poll(self) -> int | None:
        """Return its exit status; None as long as it runs."""


class KeptProcess:
    """One place, and the process that fills it.

    Args:
        name: What people call it.
        start: Starts the process.
        backoff: Pauses before it is started again.
        steady_seconds: A process that lived this long is no failure when it ends.
        clock: Tells the time.
    """

    def __init__(
        self,
        name: str,
        start: Callable[[], Child],
        *,
        backoff: Backoff,
        steady_seconds: float,
        clock: Clock,
    ) -> None:
        self.name = name
        self.starts = 0
        """How often it was started."""
        self.failures = 0
        """How often it ended without having been told to."""
        self.since = 0.0
        """When its process was started, by the monotonic clock."""
        self._start, self._backoff = start, backoff
        self._steady_seconds, self._clock = steady_seconds, clock
        self._child: Child | None = None
        self._not_before = 0.0

    @property
    def pid(self) -> int | None:
        """Its process; None where it has none. May be asked from another thread."""
        child = self._child
        return None if child is None else child.pid

    def start(self) -> bool:
        """Start a process if there is none and the pause is over; whether it was."""
        now = self._clock.monotonic()
        if self._child is not None or now < self._not_before:
            return False
        self._child = self._start()
        self.starts += 1
        self.since = now
        return True

    def reap(self, *, group: bool = False) -> int | None:
        """Return the exit status of a process that has ended since the last time.

        Args:
            group: Whether whatever it left behind in its group is killed.
        """
        status = None if self._child is None else self._child.poll()
        if status is not None:
            if group:
                self.tell(signal.SIGKILL, group=True)
            self._child = None
        return status

    def failed(self) -> float:
        """Note that it ended untold; return the pause before it may be started again, in seconds."""
        now = self._clock.monotonic()
        if now - self.since > self._steady_seconds:
            self._backoff.succeeded()
        pause = self._backoff.failed()
        self.failures += 1
        self._not_before = now + pause
        return pause

    def tell(self, word: signal.Signals, *, group: bool = False) -> None:
        """Send a signal to its process, or to everything that this started as well."""
        if self._child is not None:
            # It may have ended just now, or have no group any more.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                (os.killpg if group else os.kill)(self._child.pid, word)


def wait_for_ends(
    has_ended: Sequence[Callable[[], bool]], seconds: float, *, clock: Clock, hurry: Stop
) -> bool:
    """Wait until processes have ended, at most `seconds`, and not at all in a hurry.

    Args:
        has_ended: Says of each whether it has ended, and reaps it.
        seconds: How long to wait.
        clock: Tells the time.
        hurry: When to wait no longer.

    Returns:
        Whether all have ended.
    """
    deadline = clock.monotonic() + seconds
    while not all(ended() for ended in has_ended):
        if hurry.is_set() or clock.monotonic() > deadline:
            return False
        hurry.wait(_SLICE)
    return True
