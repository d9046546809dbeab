"""Stop: how something that works on and on is told to stop; a flag that a signal handler may set."""

from __future__ import annotations

import signal
import time
from types import FrameType
from typing import Final, Protocol

_SLICE: Final = 0.1


class Stop(Protocol):
    """Something that says when to stop: a `Flag`, or a `threading.Event`."""

    def is_set(self) -> bool:
        """Whether it has been said."""

    def wait(self, timeout: float) -> bool:
        """Wait for it, at most so many seconds; whether it has been said."""


class Flag:
    """An event without a lock: a handler may set it while the very thread it interrupts waits."""

    def __init__(self) -> None:
        self._said = False

    def set(self) -> None:
        """Say it."""
        self._said = True

    def is_set(self) -> bool:
        """Whether it has been said."""
        return self._said

    def wait(self, timeout: float) -> bool:
        """Wait for it, at most so many seconds; whether it has been said."""
        deadline = time.monotonic() + timeout
        while not self._said and (left := deadline - time.monotonic()) > 0:
            time.sleep(min(left, _SLICE))
        return self._said


def set_at_signals(stop: Flag, hurry: Flag | None = None) -> None:
    """Set a flag at the first signal that asks to end, and `hurry` at a further one that is meant."""

    def told(number: int, frame: FrameType | None) -> None:
        if not stop.is_set():
            stop.set()
        elif hurry is not None and number in {signal.SIGTERM, signal.SIGINT}:
            hurry.set()

    for number in stop_signals():
        signal.signal(number, told)


def stop_signals() -> tuple[signal.Signals, ...]:
    """Return the signals at which a service ends in order.

    SIGHUP, which says that the terminal is gone, is one of them unless it is ignored, as under
    `nohup`. A terminal that closes may send it several times: only the others hurry.
    """
    hangup: signal.Signals | None = getattr(signal, "SIGHUP", None)  # Windows has none
    if hangup is None or signal.getsignal(hangup) is signal.SIG_IGN:
        return (signal.SIGTERM, signal.SIGINT)
    return (signal.SIGTERM, signal.SIGINT, hangup)
