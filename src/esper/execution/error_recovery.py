"""ErrorRecoveryManager: the one way to try again, and to go on where trying again does not help.

The five strategies are those of document 004. `RECOVERY` says which are tried for which kind of
error, in order, until one settles the matter; the last resort is always escalation, which logs
what the window of recent errors shows and raises the original error. Nothing is swallowed:
whatever was settled is tracked, counted and logged.

    operation ── error ──> kind ──> RETRY ─────────────────> wait, operation again
                                    CIRCUIT_BREAKER ───────> counted; the next strategy
                                    FALLBACK ──────────────> what the caller gave for it
                                    GRACEFUL_DEGRADATION ──> the same with less
                                    ESCALATION ────────────> log, raise

Corrupt bytes and misfits are escalated at once: trying again, or something else in their place,
would hide that a check has failed.

`stamina` repeats calls too, but circuit, fallback and window must see the same failures that are
repeated, so that it would be a second loop around this one. Endless waiting, for a process that is
to be started again or a bus that is away, is no retry: that is `utils/backoff.py`.
"""

from __future__ import annotations

import asyncio
import logging
import random
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeVar

from esper.contracts.errors import (
    ArtifactError,
    BlueprintError,
    KernelMismatchError,
    KernelNotFoundError,
    LibraryUnavailableError,
)
from esper.contracts.ports import Clock
from esper.execution.circuit_breaker import BreakerConfig, CircuitBreaker
from esper.execution.error_tracker import ErrorKind, ErrorTracker, Pattern
from esper.utils.clock import SystemClock
from esper.utils.ranges import AT_LEAST_0, check_numbers
from esper.utils.registry import Registry

logger = logging.getLogger(__name__)

T = TypeVar("T")


class RecoveryStrategy(StrEnum):
    """How an error is met."""

    RETRY = "retry"
    """Wait and try again, twice as long each time; for what passes by itself."""
    FALLBACK = "fallback"
    """Use what the caller gave for this case."""
    CIRCUIT_BREAKER = "circuit_breaker"
    """Count it against the component, which is left alone for a while when it is too much."""
    GRACEFUL_DEGRADATION = "graceful_degradation"
    """Go on with less, as the caller defined."""
    ESCALATION = "escalation"
    """Log the error with the patterns that it belongs to, and raise it."""


KINDS: Final[Registry[type[BaseException], ErrorKind]] = Registry("kind of error")
"""Kind by error type, looked up along the type's MRO. Who brings a library adds its errors."""
for _type, _kind in (
    (Exception, ErrorKind.UNKNOWN),
    (OSError, ErrorKind.UNREACHABLE),
    (LibraryUnavailableError, ErrorKind.UNREACHABLE),
    (KernelNotFoundError, ErrorKind.ABSENT),
    (ArtifactError, ErrorKind.CORRUPT),
    (BlueprintError, ErrorKind.CORRUPT),
    (KernelMismatchError, ErrorKind.MISFIT),
    (MemoryError, ErrorKind.MEMORY),
):
    KINDS.add(_type, _kind)

_S = RecoveryStrategy
RECOVERY: Final[Mapping[ErrorKind, tuple[RecoveryStrategy, ...]]] = {
    ErrorKind.UNREACHABLE: (_S.RETRY, _S.CIRCUIT_BREAKER, _S.FALLBACK, _S.ESCALATION),
    ErrorKind.REFUSED: (_S.FALLBACK, _S.ESCALATION),
    ErrorKind.ABSENT: (_S.ESCALATION,),
    ErrorKind.CORRUPT: (_S.ESCALATION,),
    ErrorKind.MISFIT: (_S.ESCALATION,),
    ErrorKind.MEMORY: (_S.GRACEFUL_DEGRADATION, _S.ESCALATION),
    ErrorKind.UNKNOWN: (_S.ESCALATION,),
}
"""Strategies by kind of error, in the order in which they are tried. A kernel that fails while it
runs is met by its executor, whose circuits count training steps instead of seconds."""

_ORDINARY: Final = frozenset({ErrorKind.ABSENT})
"""Kinds that are answers rather than trouble: raised, but neither tracked nor logged."""


@dataclass(frozen=True, kw_only=True)
class RetryConfig:
    """Exponential backoff with full jitter (Brooker 2015, "Exponential backoff and jitter")."""

    attempts: int = 3
    """Tries after the first; 0 never tries again."""
    base_seconds: float = 0.2
    """Longest pause before the first further try; doubled for each one after."""
    longest_seconds: float = 10.0
    """Longest pause. Who asks for a longer one (`retry_after`) is not waited for."""

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        numbers = ("attempts", "base_seconds", "longest_seconds")
        check_numbers(self, "RetryConfig.", **dict.fromkeys(numbers, AT_LEAST_0))

    def pause(self, attempt: int, asked: float, draw: float) -> float | None:
        """Return the seconds to wait before another try; None if there is none.

        Args:
            attempt: Number of the try that failed, from 0.
            asked: Seconds that whoever failed asks for; 0 if it asks for none.
            draw: Random number in [0, 1).
        """
        if attempt >= self.attempts or asked > self.longest_seconds:
            return None
        ceiling = min(self.longest_seconds, self.base_seconds * 2.0 ** min(attempt, 64))
        return asked + draw * ceiling


class ErrorRecoveryManager:
    """Runs operations and meets their errors. One object serves several threads.

    Args:
        clock: Monotonic time for tracker and breakers; default: the machine's.
        retry: Backoff; None never tries again.
        breaker: When a component's circuit opens; None has no circuits.
        tracker: Window of recent errors, which several managers may share.
        sleep: Waits between retries of `run`, in seconds.
        asleep: The same for `arun`.
        draw: Returns random numbers in [0, 1), for the pauses.
    """

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        retry: RetryConfig | None = None,
        breaker: BreakerConfig | None = None,
        tracker: ErrorTracker | None = None,
        sleep: Callable[[float], None] = time.sleep,
        asleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._clock = SystemClock() if clock is None else clock
        self.tracker = ErrorTracker(self._clock) if tracker is None else tracker
        self._retry = retry or RetryConfig(attempts=0)
        self._breaker = breaker
        self._sleep, self._asleep, self._draw = sleep, asleep, draw
        self._lock = threading.Lock()
        self._circuits: dict[str, CircuitBreaker] = {}
        self._told: set[tuple[Pattern, str]] = set()

    def run(
        self,
        component: str,
        operation: Callable[[], T],
        *,
        fallback: Callable[[], T] | None = None,
        degraded: Callable[[], T] | None = None,
        again: bool = True,
    ) -> T:
        """Return what `operation` returns, or what a strategy puts in its place.

        Args:
            component: Whose books are kept: circuit and window.
            operation: May be called several times.
            fallback: Used where the table allows it.
            degraded: Does the same with less; used where memory is short.
            again: Whether a repetition is harmless.

        Raises:
            LibraryUnavailableError: The component's circuit is open and there is no fallback.
            Exception: The operation's own error, when no strategy settles it.
        """
        attempt = 0
        while True:
            if not self._allows(component):
                return self._shut_out(component, fallback)
            try:
                result = operation()
            except Exception as error:  # noqa: BLE001  # the boundary: tracked, settled or raised
                found = self._settle(component, error, attempt, again, fallback, degraded)
            else:
                self._succeeded(component)
                return result
            if callable(found):
                return found()
            self._sleep(found)
            attempt += 1

    async def arun(
        self, component: str, operation: Callable[[], Awaitable[T]], *, again: bool = True
    ) -> T:
        """Do what `run` does for an operation that is awaited, which has no substitute."""
        attempt = 0
        while True:
            if not self._allows(component):
                return self._shut_out(component, None)
            try:
                result = await operation()
            except Exception as error:  # noqa: BLE001  # the boundary: tracked, settled or raised
                found: float | Callable[[], T] = self._settle(component, error, attempt, again)
            else:
                self._succeeded(component)
                return result
            assert not callable(found)  # nothing was given to put in its place
            await self._asleep(found)
            attempt += 1

    def _allows(self, component: str) -> bool:
        with self._lock:
            circuit = self._circuits.get(component)
            return circuit is None or circuit.allows()

    def _succeeded(self, component: str) -> None:
        with self._lock:
            if component in self._circuits:
                self._circuits[component].succeed()

    def _failed(self, component: str) -> bool:
        """Count a failure; return whether the component is left alone from now on."""
        if self._breaker is None:
            return False
        with self._lock:
            if component not in self._circuits:
                self._circuits[component] = CircuitBreaker(self._breaker, self._clock.monotonic)
            return self._circuits[component].fail()

    def _shut_out(self, component: str, fallback: Callable[[], T] | None) -> T:
        if fallback is not None:
            return fallback()
        last = self.tracker.recent(component)
        raise LibraryUnavailableError(
            f"{component} failed too often and is left alone for a while; try again in some "
            f"seconds. Its last error: {last[-1].message if last else 'long ago'}"
        )

    def _settle(
        self,
        component: str,
        error: Exception,
        attempt: int,
        again: bool,
        fallback: Callable[[], T] | None = None,
        degraded: Callable[[], T] | None = None,
    ) -> float | Callable[[], T]:
        """Return how long to wait before another try, or what to use instead.

        Raises:
            Exception: The error, if it has to be escalated.
        """
        kind = KINDS.lookup_type(type(error))
        if kind in _ORDINARY:
            raise error
        if again and RecoveryStrategy.RETRY in RECOVERY[kind]:
            asked = getattr(error, "retry_after", 0.0)
            pause = self._retry.pause(attempt, asked, self._draw())
            if pause is not None:
                logger.info("%s: %r; once more in %.1f s", component, error, pause)
                return pause
        self.tracker.record(component, kind, f"{type(error).__name__}: {error}")
        left_alone = ""
        for strategy in RECOVERY[kind]:
            match strategy:
                case RecoveryStrategy.CIRCUIT_BREAKER if self._failed(component):
                    left_alone = ", which is left alone for a while"
                case RecoveryStrategy.FALLBACK if fallback is not None:
                    logger.warning("%s%s: %r; going on without it", component, left_alone, error)
                    return fallback
                case RecoveryStrategy.GRACEFUL_DEGRADATION if degraded is not None:
                    logger.warning("%s: %r; going on with less", component, error)
                    return degraded
        self._escalate(component)
        raise error

    def _escalate(self, component: str) -> None:
        """Log each pattern once: an error that does not come alone has a cause of its own."""
        found = {(p.pattern, p.subject) for p in self.tracker.patterns()}
        for pattern, subject in sorted(found - self._told):
            logger.error("%s failed; lately there are %s errors: %s", component, pattern, subject)
        self._told = found
