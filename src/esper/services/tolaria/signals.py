"""SIGINT and SIGTERM as a request: the step is finished, a checkpoint saved, then the run ends.

Exit status of a run that was asked to stop: 128 plus the number of the signal, as shells have it
(130 after Ctrl-C, 143 after SIGTERM). A second signal is not held back.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def exit_status(signum: int) -> int:
    """Exit status of a process that stopped at signal ``signum``."""
    return 128 + signum


class StopRequest:
    """While entered, notes the first SIGINT or SIGTERM instead of dying of it.

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
                self._previous[signum] = signal.signal(signum, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._give_back()

    def _note(self, signum: int, frame: FrameType | None) -> None:
        del frame  # the step that it interrupted goes on
        self.ask(signum)
        self._give_back()  # who asks twice does not want to wait

    def _give_back(self) -> None:
        while self._previous:
            signum, handler = self._previous.popitem()
            signal.signal(signum, handler)
