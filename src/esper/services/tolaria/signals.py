"""Signals as a request: the step is finished, a checkpoint saved, then the run ends.

SIGINT and SIGTERM ask so, and SIGHUP, which says that the terminal is gone; under `nohup` the run
goes on. Exit status of a run that was asked to stop: 128 plus the number of the signal, as shells
have it (129 after SIGHUP, 130 after Ctrl-C, 143 after SIGTERM). A second SIGINT or SIGTERM is not
held back; a second SIGHUP is: a terminal that closes sends several.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_HANGUP: int | None = getattr(signal, "SIGHUP", None)  # Windows has none


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
        self._hangup: Any = None

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
                self._previous[signum] = signal.signal(signum, self._note)
            if _HANGUP is not None and signal.getsignal(_HANGUP) is not signal.SIG_IGN:
                self._hangup = signal.signal(_HANGUP, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._give_back()
        if _HANGUP is not None and self._hangup is not None:
            signal.signal(_HANGUP, self._hangup)
            self._hangup = None

    def _note(self, signum: int, frame: FrameType | None) -> None:
        del frame  # the step that it interrupted goes on
        if not self.is_asked:
            self.ask(signum)
        if signum != _HANGUP:
            self._give_back()  # who asks twice does not want to wait

    def _give_back(self) -> None:
        while self._previous:
            signum, handler = self._previous.popitem()
            signal.signal(signum, handler)
