"""ErrorRecoveryManager: meets each kind of error with the strategies that the table names.

The five strategies are those of document 004. `RECOVERY` says which are tried for which kind of
error, in order, until one settles the matter; the last resort is always escalation, which tells
the telemetry sink and raises the original error. Nothing is swallowed: whatever was settled is
tracked, counted and logged.

Corrupt bytes and misfits are escalated at once: trying again, or something else in their place,
would hide that a check has failed.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, TypeVar

import torch

from esper.contracts.base import Contract
from esper.contracts.errors import (
    ArtifactError,
    BlueprintError,
    ConfigError,
    KernelExecutionError,
    KernelMismatchError,
    KernelNotFoundError,
    LibraryUnavailableError,
)
from esper.contracts.ports import Clock, TelemetrySink
from esper.execution.circuit_breaker import BreakerConfig, CircuitBreaker
from esper.execution.error_tracker import ErrorKind, ErrorTracker
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
    """Go on with less, as the caller defined; the component is marked as degraded."""
    ESCALATION = "escalation"
    """Tell the sink and raise."""


KINDS: Final[Registry[type[BaseException], ErrorKind]] = Registry("kind of error")
"""Kind by error type, looked up along the type's MRO."""
for _type, _kind in (
    (Exception, ErrorKind.UNKNOWN),
    (OSError, ErrorKind.UNREACHABLE),
    (LibraryUnavailableError, ErrorKind.UNREACHABLE),
    (KernelNotFoundError, ErrorKind.ABSENT),
    (ArtifactError, ErrorKind.CORRUPT),
    (BlueprintError, ErrorKind.CORRUPT),
    (KernelMismatchError, ErrorKind.MISFIT),
    (KernelExecutionError, ErrorKind.EXECUTION),
    (MemoryError, ErrorKind.MEMORY),
    (torch.OutOfMemoryError, ErrorKind.MEMORY),
):
    KINDS.add(_type, _kind)

_S = RecoveryStrategy
RECOVERY: Final[Mapping[ErrorKind, tuple[RecoveryStrategy, ...]]] = {
    ErrorKind.UNREACHABLE: (_S.RETRY, _S.CIRCUIT_BREAKER, _S.FALLBACK, _S.ESCALATION),
    ErrorKind.ABSENT: (_S.FALLBACK, _S.ESCALATION),
    ErrorKind.CORRUPT: (_S.ESCALATION,),
    ErrorKind.MISFIT: (_S.ESCALATION,),
    ErrorKind.EXECUTION: (_S.CIRCUIT_BREAKER, _S.FALLBACK, _S.ESCALATION),
    ErrorKind.MEMORY: (_S.GRACEFUL_DEGRADATION, _S.ESCALATION),
    ErrorKind.UNKNOWN: (_S.ESCALATION,),
}
"""Strategies by kind of error, in the order in which they are tried."""


@dataclass(frozen=True, kw_only=True)
class RetryConfig:
    """Exponential backoff: `base_seconds * 2**n`, at most `longest_seconds`."""

    attempts: int = 3
    """Tries after the first; 0 never tries again."""
    base_seconds: float = 0.1
    longest_seconds: float = 5.0

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        if self.attempts < 0 or self.base_seconds < 0 or self.longest_seconds < 0:
            raise ConfigError(f"{self}: no value may be negative")


class ErrorEscalated(Contract):
    """Telemetry: an error that no strategy could settle."""

    component: str
    """Who failed."""
    error_kind: ErrorKind
    """What kind of trouble it was."""
    error_type: str
    """Class of the error."""
    message: str
    """The error's own words."""
    recent: int
    """Errors of the component within the tracker's window, this one included."""
    patterns: tuple[str, ...]
    """Patterns that the window shows, as "pattern: subject (count)"."""


@dataclass(frozen=True, kw_only=True)
class Incident:
    """One failed attempt, as strategies see it."""

    component: str
    error: Exception
    kind: ErrorKind
    attempt: int
    """0 for the first try."""
    fallback: Callable[[], Any] | None
    degraded: Callable[[], Any] | None


@dataclass(frozen=True, kw_only=True)
class Resolution:
    """What a strategy decided: wait and try again, or use this instead."""

    delay: float = 0.0
    instead: Callable[[], Any] | None = None
    """None means: try again after `delay` seconds."""


class ErrorRecoveryManager:
    """Runs operations and meets their errors.

    Args:
        clock: Monotonic time for tracker and breakers.
        sleep: Waits between retries of `run`, in seconds (`time.sleep`).
        asleep: The same for `arun` (`asyncio.sleep`).
        sink: Receives `ErrorEscalated`; None if nobody listens.
        tracker: Default a new one on `clock`.
        retry: Backoff.
        breaker: When a component's circuit opens.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        sleep: Callable[[float], None],
        asleep: Callable[[float], Awaitable[None]] | None = None,
        sink: TelemetrySink | None = None,
        tracker: ErrorTracker | None = None,
        retry: RetryConfig | None = None,
        breaker: BreakerConfig | None = None,
    ) -> None:
        self.tracker = tracker or ErrorTracker(clock)
        self.retry = retry or RetryConfig()
        self.sink = sink
        self.degraded: set[str] = set()
        """Components that go on with less."""
        self.settled: Counter[RecoveryStrategy] = Counter()
        """How often each strategy settled the matter; escalations are counted too."""
        self._clock = clock
        self._sleep = sleep
        self._asleep = asleep
        self._breaker = breaker or BreakerConfig()
        self._circuits: dict[str, CircuitBreaker] = {}

    def run(
        self,
        component: str,
        operation: Callable[[], T],
        *,
        fallback: Callable[[], T] | None = None,
        degraded: Callable[[], T] | None = None,
    ) -> T:
        """Return what `operation` returns, or what a strategy puts in its place.

        Args:
            component: Whose books are kept: circuit, window, degradation.
            operation: May be called several times.
            fallback: Used where the table allows it.
            degraded: Does the same with less; used where memory is short.

        Raises:
            KernelExecutionError: The component's circuit is open and there is no fallback.
            Exception: The operation's own error, when no strategy settles it.
        """
        attempt = 0
        while True:
            if not self.circuit(component).allows():
                return self._shut_out(component, fallback)
            try:
                result = operation()
            except Exception as error:  # noqa: BLE001  # the boundary: tracked, settled or raised
                found = self._settle(component, error, attempt, fallback, degraded)
            else:
                self._succeeded(component)
                return result
            if found.instead is not None:
                substitute: T = found.instead()
                return substitute
            self._sleep(found.delay)
            attempt += 1

    async def arun(
        self,
        component: str,
        operation: Callable[[], Awaitable[T]],
        *,
        fallback: Callable[[], T] | None = None,
        degraded: Callable[[], T] | None = None,
    ) -> T:
        """Do what `run` does for an asynchronous operation.

        Raises:
            ConfigError: The manager was made without `asleep`.
        """
        if self._asleep is None:
            raise ConfigError("arun() needs ErrorRecoveryManager(asleep=asyncio.sleep)")
        attempt = 0
        while True:
            if not self.circuit(component).allows():
                return self._shut_out(component, fallback)
            try:
                result = await operation()
            except Exception as error:  # noqa: BLE001  # the boundary: tracked, settled or raised
                found = self._settle(component, error, attempt, fallback, degraded)
            else:
                self._succeeded(component)
                return result
            if found.instead is not None:
                substitute: T = found.instead()
                return substitute
            await self._asleep(found.delay)
            attempt += 1

    def circuit(self, component: str) -> CircuitBreaker:
        """Return the component's circuit."""
        if component not in self._circuits:
            self._circuits[component] = CircuitBreaker(self._breaker, self._clock)
        return self._circuits[component]

    def _succeeded(self, component: str) -> None:
        self.circuit(component).succeed()
        self.degraded.discard(component)

    def _shut_out(self, component: str, fallback: Callable[[], T] | None) -> T:
        self.settled[RecoveryStrategy.CIRCUIT_BREAKER] += 1
        if fallback is None:
            raise KernelExecutionError(
                f"{component!r} failed too often and is left alone for "
                f"{self._breaker.cooldown_seconds:g} s; its last errors are in the log"
            )
        return fallback()

    def _settle(
        self,
        component: str,
        error: Exception,
        attempt: int,
        fallback: Callable[[], Any] | None,
        degraded: Callable[[], Any] | None,
    ) -> Resolution:
        """Try the table's strategies in order. Escalation raises, so one of them ends this."""
        incident = Incident(
            component=component,
            error=error,
            kind=KINDS.lookup_type(type(error)),
            attempt=attempt,
            fallback=fallback,
            degraded=degraded,
        )
        self.tracker.record(component, incident.kind, f"{type(error).__name__}: {error}")
        for strategy in RECOVERY[incident.kind]:
            found = STRATEGIES.lookup(strategy)(self, incident)
            if found is not None:
                self.settled[strategy] += 1
                logger.warning("%s: %r met by %s", component, error, strategy)
                return found
        raise error


Strategy = Callable[[ErrorRecoveryManager, Incident], Resolution | None]
STRATEGIES: Final[Registry[RecoveryStrategy, Strategy]] = Registry("recovery strategy")
"""What each strategy does: a resolution, or None to leave the matter to the next one."""


@STRATEGIES.register(RecoveryStrategy.RETRY)
def retry(manager: ErrorRecoveryManager, incident: Incident) -> Resolution | None:
    """Try again after a pause that doubles, while attempts are left."""
    config = manager.retry
    if incident.attempt >= config.attempts:
        return None
    pause = config.base_seconds * 2.0**incident.attempt
    return Resolution(delay=min(pause, config.longest_seconds))


@STRATEGIES.register(RecoveryStrategy.FALLBACK)
def fall_back(manager: ErrorRecoveryManager, incident: Incident) -> Resolution | None:
    """Use the caller's fallback, if there is one."""
    return None if incident.fallback is None else Resolution(instead=incident.fallback)


@STRATEGIES.register(RecoveryStrategy.CIRCUIT_BREAKER)
def break_circuit(manager: ErrorRecoveryManager, incident: Incident) -> Resolution | None:
    """Count the failure; settles nothing itself, but later calls may be shut out."""
    manager.circuit(incident.component).fail()
    return None


@STRATEGIES.register(RecoveryStrategy.GRACEFUL_DEGRADATION)
def degrade(manager: ErrorRecoveryManager, incident: Incident) -> Resolution | None:
    """Go on with less, if the caller said how."""
    if incident.degraded is None:
        return None
    manager.degraded.add(incident.component)
    return Resolution(instead=incident.degraded)


@STRATEGIES.register(RecoveryStrategy.ESCALATION)
def escalate(manager: ErrorRecoveryManager, incident: Incident) -> Resolution | None:
    """Tell the sink and raise the original error.

    Raises:
        Exception: Always: the incident's error.
    """
    manager.settled[RecoveryStrategy.ESCALATION] += 1
    logger.error("%s: %r escalated", incident.component, incident.error)
    if manager.sink is not None:
        found = manager.tracker.patterns()
        event = ErrorEscalated(
            component=incident.component,
            error_kind=incident.kind,
            error_type=type(incident.error).__name__,
            message=str(incident.error),
            recent=manager.tracker.count(incident.component),
            patterns=tuple(f"{p.pattern}: {p.subject} ({p.count})" for p in found),
        )
        manager.sink.emit(event)
    raise incident.error
