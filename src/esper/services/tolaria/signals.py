"""Signals as a request: the step is finished, a checkpoint saved, then the run ends.

SIGINT and SIGTERM ask so, and SIGHUP, which says that the terminal is gone; under `nohup` the run
goes on. Exit status of a run that was asked to stop: 128 plus the number of the signal, as shells
have it (129 after SIGHUP, 130 after Ctrl-C, 143 after SIGTERM). A second SIGINT or SIGTERM is not
held back; a second SIGHUP is: a terminal that closes sends several.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any, Self

_HANGUP: int | None = getattr(signal, "SIGHUP", None)  # Windows has none
_SIGNALS = (signal.SIGINT, signal.SIGTERM, *(() if _HANGUP is None else (_HANGUP,)))


def exit_status(signum: int) -> int:
    """Exit status of a process that stopped at signal ``signum``."""
    return 128 + signum


class StopRequest:
    """While entered, notes the first signal that asks to stop instead of dying of it.

    Outside the main thread, where Python allows no handlers, only :meth:`ask` is heard.
    """

    def __init__(self) -> None:
        self.signum: int | None = None
        """The signal that asked, or ``None``."""
        self.reason: str | None = None
        """Why, where a command asked instead of a signal."""
        self._previous: dict[int, Any] = {}

    @property
    def is_asked(self) -> bool:
        """Whether the run is to stop."""
        return self.signum is not None

    def ask(self, signum: int = signal.SIGTERM, reason: str | None = None) -> None:
        """Ask as a signal would, from any thread."""
        self.signum, self.reason = signum, reason

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for signum in _SIGNALS:
                if signum != _HANGUP or signal.getsignal(signum) is not signal.SIG_IGN:
                    self._previous[signum] = signal.signal(signum, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        self._give_back()

    def _note(self, signum: int, frame: FrameType | None) -> None:
        del frame  # the step that it interrupted goes on
        if not self.is_asked:
            self.ask(signum)
        if signum != _HANGUP:
            self._give_back(but=_HANGUP)  # who asks twice does not want to wait

    def _give_back(self, *, but: int | None = None) -> None:
        for signum in self._previous.keys() - {but}:
            signal.signal(signum, self._previous.pop(signum))
