"""Service: what `esper up` has to know of each process that it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

Question = Callable[[], bool]
"""Asks a service something, for a second or two at most; whatever is no answer is False."""

Mend = Callable[[str], str | None]
"""Is shown what a service wrote before it ended; removes what keeps it from coming up, if that is it,
and says what it did."""

Environment = Mapping[str, str | None]
"""Variables of a process; None takes one away."""


@dataclass(frozen=True, kw_only=True)
class Service:
    """How to start one service, and how to ask it how it is."""

    name: str
    """What people call it."""
    command: tuple[str, ...]
    """What is run. Other users of the machine can see it: no secrets."""
    address: str
    """Where it answers; without secrets."""
    port: int
    """The TCP port of it."""
    log: Path
    """File that its output is added to."""
    lives: Question
    """Whether it answers at all."""
    is_ready: Question
    """Whether it takes work."""
    environment: Environment = field(default_factory=dict)
    """Variables that it gets besides those of `esper up`."""
    mend: Mend = lambda _: None
    """Mends what the service cannot mend itself; by default nothing."""
    stop_seconds: float = 30.0
    """How long it may take to end after SIGTERM before it is killed."""
