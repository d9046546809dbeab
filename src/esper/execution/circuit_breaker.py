"""CircuitBreaker: stop asking a component that keeps failing, and try it again later."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from esper.contracts.errors import ConfigError


class CircuitState(StrEnum):
    """Whether calls go through."""

    CLOSED = "closed"
    """They do."""
    OPEN = "open"
    """They do not, until the cool-down is over."""
    HALF_OPEN = "half_open"
    """One trial call decides."""


class CircuitEvent(StrEnum):
    """What moves a circuit."""

    TRIP = "trip"
    COOL = "cool"
    SUCCEED = "succeed"
    FAIL = "fail"


TRANSITIONS: Final = {
    (CircuitState.CLOSED, CircuitEvent.SUCCEED): CircuitState.CLOSED,
    (CircuitState.CLOSED, CircuitEvent.FAIL): CircuitState.CLOSED,
    (CircuitState.CLOSED, CircuitEvent.TRIP): CircuitState.OPEN,
    (CircuitState.OPEN, CircuitEvent.COOL): CircuitState.HALF_OPEN,
    (CircuitState.HALF_OPEN, CircuitEvent.SUCCEED): CircuitState.CLOSED,
    (CircuitState.HALF_OPEN, CircuitEvent.FAIL): CircuitState.OPEN,
    (CircuitState.HALF_OPEN, CircuitEvent.TRIP): CircuitState.OPEN,
}


def advance(state: CircuitState, event: CircuitEvent) -> CircuitState:
    """Return the next state; an event that the table does not have changes nothing."""
    return TRANSITIONS.get((state, event), state)


@dataclass(frozen=True, kw_only=True)
class BreakerConfig:
    """When a circuit opens, and for how long."""

    failures: int = 3
    """Failures within the window that open it; at least 1."""
    window_seconds: float = 60.0
    """Length of the sliding window."""
    cooldown_seconds: float = 30.0
    """Time for which an open circuit lets nothing through."""

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        if self.failures < 1:
            raise ConfigError(f"BreakerConfig.failures is {self.failures}; it must be at least 1")
        for name in ("window_seconds", "cooldown_seconds"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"BreakerConfig.{name} is {getattr(self, name)}; it must be > 0")


class CircuitBreaker:
    """The circuit of one component. Successes forgive nothing within the window.

    Args:
        config: When it opens, and for how long; an infinite cool-down ends with `reset`.
        now: Tells the time in seconds, or whatever else the configuration counts in.
    """

    def __init__(self, config: BreakerConfig, now: Callable[[], float]) -> None:
        self._config = config
        self._now = now
        self._failures: list[float] = []
        self._opened = 0.0
        self._state = CircuitState.CLOSED

    @property
    def state(self) -> CircuitState:
        """The state now; an open circuit becomes half-open when its cool-down is over."""
        over = self._opened + self._config.cooldown_seconds
        if self._state is CircuitState.OPEN and self._now() >= over:
            self._move(CircuitEvent.COOL)
        return self._state

    @property
    def recent(self) -> int:
        """Failures within the window, at most as many as open the circuit."""
        oldest = self._now() - self._config.window_seconds
        return sum(moment > oldest for moment in self._failures)

    def allows(self) -> bool:
        """Whether a call may go through."""
        return self.state is not CircuitState.OPEN

    def succeed(self) -> None:
        """Note a call that worked."""
        if self.state is CircuitState.HALF_OPEN:
            self._failures.clear()
        self._move(CircuitEvent.SUCCEED)

    def fail(self, times: int = 1) -> bool:
        """Note calls that failed; return whether that opened the circuit."""
        now, most = self._now(), self._config.failures
        self._failures = [*self._failures, *([now] * min(times, most))][-most:]
        before = self.state
        self._move(CircuitEvent.TRIP if self.recent >= most else CircuitEvent.FAIL)
        opened = before is not CircuitState.OPEN and self._state is CircuitState.OPEN
        if opened:
            self._opened = now
        return opened

    def reset(self) -> None:
        """Forget all failures: the circuit is closed."""
        self._failures.clear()
        self._state = CircuitState.CLOSED

    def _move(self, event: CircuitEvent) -> None:
        self._state = advance(self._state, event)
