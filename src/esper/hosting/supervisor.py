"""Supervisor: keeps a platform's services alive until it is told to stop, then ends them in order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from esper.contracts.errors import PlatformError
from esper.contracts.ports import Clock
from esper.hosting.discovery import ServiceRecord
from esper.hosting.hosting_config import HostingConfig
from esper.hosting.process import HostedProcess
from esper.hosting.service import Service, ServiceState
from esper.utils.clock import SystemClock
from esper.utils.logging import get_logger
from esper.utils.stop import Stop

Changed = Callable[[Sequence[ServiceRecord]], None]
"""Is told how the services are whenever that changed."""

_FAILURES: Final = 3
"""A service that ends so often before all were ready once will not come up by itself."""
_SLICE: Final = 0.1
_TAIL: Final = 2000

_log = get_logger("platform")


class Supervisor:
    """Runs services.

    Args:
        services: In the order in which they start; they end in the opposite one.
        config: Times and pauses.
        changed: Told whenever a service's state or process has changed.
        clock: Tells the time.
    """

    def __init__(
        self,
        services: Sequence[Service],
        config: HostingConfig,
        *,
        changed: Changed,
        clock: Clock | None = None,
    ) -> None:
        self._clock = clock or SystemClock()
        self._config, self._changed = config, changed
        self._hosted = [HostedProcess(service, config, self._clock) for service in services]
        self._told: Sequence[ServiceRecord] = ()

    def run(self, stop: Stop, hurry: Stop, *, ready: Callable[[], None]) -> None:
        """Keep the services alive until `stop` is set, then end them.

        Args:
            stop: When to let them finish what they have, and end.
            hurry: When to kill what is left of them.
            ready: Called once, when all of them are ready for the first time.

        Raises:
            PlatformError: One of them does not come up; the others were ended.
        """
        up = False
        try:
            while not stop.is_set():
                for hosted in self._hosted:
                    hosted.tend()
                self._tell()
                if not up:
                    self._check_start()
                    up = all(h.state is ServiceState.READY for h in self._hosted)
                    if up:
                        ready()
                stop.wait(self._config.look_seconds if up else _SLICE)
        finally:
            self._drain(hurry)

    def _check_start(self) -> None:
        for hosted in self._hosted:
            if hosted.failures >= _FAILURES:
                log = hosted.service.log
                tail = log.read_text(encoding="utf-8", errors="replace")[-_TAIL:].strip()
                last = tail.rpartition("\n")[2]
                # Our own services end with what is wrong; all of the rest is in the log.
                why = last if last.startswith("Error: ") else f"the end of its log:\n{tail}"
                raise PlatformError(
                    f"{hosted.service.name} does not come up, it ended {hosted.failures} times (log: "
                    f"{log}): {why.removeprefix('Error: ')}"
                )

    def _drain(self, hurry: Stop) -> None:
        for hosted in reversed(self._hosted):
            hosted.tell()
            self._tell()
            deadline = self._clock.monotonic() + hosted.service.stop_seconds
            while not (hosted.reap() or hurry.is_set() or self._clock.monotonic() > deadline):
                hurry.wait(_SLICE)
            if not hosted.reap():
                _log.warning("killed: told to stop, it did not end", name=hosted.service.name)
                hosted.kill()
            self._tell()

    def _tell(self) -> None:
        now = [hosted.record() for hosted in self._hosted]
        if now != self._told:
            self._told = now
            self._changed(now)
