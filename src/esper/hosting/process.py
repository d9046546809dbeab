"""HostedProcess: one service's process, which is started, asked how it is, and started again.

One that ends untold is started again after ever longer pauses.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from random import Random
from typing import Final

from esper.contracts.ports import Clock
from esper.hosting.discovery import ServiceRecord
from esper.hosting.hosting_config import HostingConfig
from esper.hosting.service import LIFE, Service, ServiceEvent, ServiceState
from esper.utils.backoff import Backoff
from esper.utils.logging import get_logger

_PR_SET_PDEATHSIG: Final = 1
# Looked up here: between a fork and its program nothing may take a lock.
_tell_process: Final = ctypes.CDLL(None, use_errno=True).prctl if sys.platform == "linux" else None
_SLICE: Final = 0.01
_TAIL: Final = 8192

_log = get_logger("platform")


class HostedProcess:
    """A service, and its process while it has one.

    Args:
        service: How to start and to ask it.
        config: Times and pauses.
        clock: Tells the time.
    """

    def __init__(self, service: Service, config: HostingConfig, clock: Clock) -> None:
        self.service = service
        self.state = ServiceState.WAITING
        self.failures = 0
        """How often it ended without having been told to."""
        self._config, self._clock = config, clock
        random = Random(service.name)  # noqa: S311 spreads pauses, guards nothing
        self._backoff = Backoff(config.backoff_seconds, config.backoff_most_seconds, random)
        self._process: subprocess.Popen[bytes] | None = None
        self._not_before = self._started = self._heard = 0.0
        self._log_from = 0
        self._since = clock.now()

    @property
    def pid(self) -> int | None:
        """Its process; None where it has none."""
        return None if self._process is None else self._process.pid

    def record(self) -> ServiceRecord:
        """How it is, for `platform.json`."""
        return ServiceRecord(
            name=self.service.name,
            state=self.state,
            address=self.service.address,
            pid=self.pid,
            restarts=self.failures,
            since=datetime.fromtimestamp(self._since, tz=UTC),
        )

    def tend(self) -> None:
        """See how it is, and do what is to be done: start it, start it again, kill it."""
        now = self._clock.monotonic()
        if self.state is ServiceState.WAITING:
            if now >= self._not_before:
                self._process = self._open()
                self._started = self._heard = now
                self._move(ServiceEvent.STARTED)
                _log.info("started", name=self.service.name, pid=self.pid)
        elif not self.reap() and self.state is not ServiceState.STOPPING:
            self._ask(now)
            self._keep_log_small()

    def reap(self) -> bool:
        """See whether its process ended; whether it has none any more."""
        status = None if self._process is None else self._process.poll()
        if status is None:
            return self._process is None
        # Whatever it left behind goes, too: the next one needs the port.
        self._signal(signal.SIGKILL, os.killpg)
        self._process = None
        told = self.state is ServiceState.STOPPING
        self._move(ServiceEvent.ENDED)
        if not told:
            _log.warning(
                "ended, starts again",
                name=self.service.name,
                status=status,
                seconds=round(self._failed(), 2),
                log=str(self.service.log),
            )
            if mended := self.service.mend(self._written()):
                _log.warning(mended)
        return True

    def tell(self) -> None:
        """Tell it to stop."""
        self._move(ServiceEvent.TOLD)
        self._signal(signal.SIGTERM, os.kill)

    def kill(self) -> None:
        """End it now, with everything that it started."""
        self._signal(signal.SIGKILL, os.killpg)
        while not self.reap():
            time.sleep(_SLICE)  # the system takes its memory apart

    def _signal(self, word: signal.Signals, send: Callable[[int, int], None]) -> None:
        if self.pid is not None:
            # It may have ended just now, or have no group any more.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                send(self.pid, word)

    def _failed(self) -> float:
        """Note that it ended untold; return the pause before it is started again, in seconds."""
        now = self._clock.monotonic()
        if now - self._started > self._config.steady_seconds:
            self._backoff.succeeded()
        pause = self._backoff.failed()
        self.failures += 1
        self._not_before = now + pause
        return pause

    def _open(self) -> subprocess.Popen[bytes]:
        service = self.service
        service.log.parent.mkdir(parents=True, exist_ok=True)
        variables = {**os.environ, **service.environment}
        with service.log.open("ab") as log:
            self._log_from = log.tell()
            return subprocess.Popen(  # noqa: S603 the plan's command, no user's text
                service.command,
                env={name: value for name, value in variables.items() if value is not None},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C in the terminal is for `esper up` alone, which tells services in order.
                start_new_session=True,
                # One C function is called there, and it takes no lock.
                preexec_fn=_end_with_parent,  # noqa: PLW1509
            )

    def _ask(self, now: float) -> None:
        if self.service.is_ready():
            self._heard = now
            self._move(ServiceEvent.ANSWERED)
            return
        if self.service.lives():
            self._heard = now
        self._move(ServiceEvent.MISSED)
        starting = self.state is ServiceState.STARTING
        allowed = self._config.ready_seconds if starting else self._config.hung_seconds
        if now - (self._started if starting else self._heard) > allowed:
            _log.error("killed: it does not answer", name=self.service.name, seconds=allowed)
            self.kill()

    def _move(self, event: ServiceEvent) -> None:
        after = LIFE.advance(self.state, event)
        if after is not self.state:
            self.state, self._since = after, self._clock.now()

    def _written(self) -> str:
        """What its process has written, the end of it."""
        with self.service.log.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(self._log_from if self._log_from <= size else 0, size - _TAIL))
            return log.read().decode("utf-8", "replace")

    def _keep_log_small(self) -> None:
        log = self.service.log
        if log.stat().st_size > self._config.log_bytes:
            shutil.copyfile(log, log.with_name(f"{log.name}.1"))
            # The service goes on in the same file: it only ever adds to its end.
            os.truncate(log, 0)


def _end_with_parent() -> None:
    """Tell a child to stop when `esper up` is killed; only Linux can do that."""
    if _tell_process is not None:
        _tell_process(_PR_SET_PDEATHSIG, int(signal.SIGTERM))
