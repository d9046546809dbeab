"""ErrorTracker: which errors happened lately, and what pattern they make."""

from __future__ import annotations

import threading
from collections import Counter, deque
from dataclasses import dataclass, fields
from enum import StrEnum

from esper.contracts.ports import Clock
from esper.utils.ranges import POSITIVE, check_numbers


class ErrorKind(StrEnum):
    """What kind of trouble an error is; decides how it is met (`error_recovery.RECOVERY`)."""

    UNREACHABLE = "unreachable"
    """A file, store or service could not be reached just now."""
    REFUSED = "refused"
    """A service answers, and will not do it."""
    ABSENT = "absent"
    """What was asked for does not exist."""
    CORRUPT = "corrupt"
    """Bytes failed a check. Final."""
    MISFIT = "misfit"
    """Valid, but not for this place. Final."""
    MEMORY = "memory"
    """Not enough memory."""
    UNKNOWN = "unknown"
    """Anything else, which may be a defect."""


class Pattern(StrEnum):
    """What several errors within the window have in common."""

    BURST = "burst"
    """One component fails often, whatever the kind."""
    RECURRING = "recurring"
    """One component fails in the same way again and again."""
    SPREADING = "spreading"
    """The same kind of error in several components: look for a common cause."""


@dataclass(frozen=True, kw_only=True)
class ErrorRecord:
    """One error."""

    time: float
    """Seconds on the monotonic clock."""
    component: str
    kind: ErrorKind
    message: str


@dataclass(frozen=True, kw_only=True)
class ErrorPattern:
    """A pattern that was found."""

    pattern: Pattern
    subject: str
    """The component, or for SPREADING the kind."""
    count: int
    """Errors in the pattern; for SPREADING the components."""


@dataclass(frozen=True, kw_only=True)
class TrackerConfig:
    """Size of the window and thresholds of the patterns."""

    window_seconds: float = 300.0
    """Errors older than this are forgotten."""
    capacity: int = 10_000
    """Most errors kept; the oldest go first."""
    burst: int = 10
    """Errors of one component that make a burst."""
    recurring: int = 3
    """Equal errors of one component that are recurring."""
    spreading: int = 3
    """Components with one kind of error that make it spreading."""

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        check_numbers(self, "TrackerConfig.", **{one.name: POSITIVE for one in fields(self)})


class ErrorTracker:
    """A sliding window over errors. One object serves several threads.

    Args:
        clock: Only its monotonic time is used.
        config: Window and thresholds.
    """

    def __init__(self, clock: Clock, config: TrackerConfig | None = None) -> None:
        self.config = config or TrackerConfig()
        self._clock = clock
        self._records: deque[ErrorRecord] = deque(maxlen=self.config.capacity)
        self._totals = Counter[str]()
        self._lock = threading.Lock()

    def record(self, component: str, kind: ErrorKind, message: str) -> None:
        """Take an error in."""
        now = self._clock.monotonic()
        with self._lock:
            self._totals[component] += 1
            self._records.append(
                ErrorRecord(time=now, component=component, kind=kind, message=message)
            )

    def total(self, component: str) -> int:
        """Return how many errors of a component there have been since the beginning."""
        return self._totals[component]

    def recent(self, component: str | None = None) -> list[ErrorRecord]:
        """Return the errors within the window, oldest first; of one component if it is named."""
        oldest = self._clock.monotonic() - self.config.window_seconds
        with self._lock:
            while self._records and self._records[0].time <= oldest:
                self._records.popleft()
            return [r for r in self._records if component is None or r.component == component]

    def patterns(self) -> list[ErrorPattern]:
        """Return the patterns in the window, in the order of `Pattern`, subjects sorted."""
        records = self.recent()
        bursts = Counter(r.component for r in records)
        equal = Counter((r.component, r.kind, r.message) for r in records)
        again = Counter[str]()
        for (component, _, _), count in equal.items():
            again[component] = max(again[component], count)
        spread = Counter(str(kind) for _, kind in {(r.component, r.kind) for r in records})
        found = (
            (Pattern.BURST, bursts, self.config.burst),
            (Pattern.RECURRING, again, self.config.recurring),
            (Pattern.SPREADING, spread, self.config.spreading),
        )
        return [
            ErrorPattern(pattern=pattern, subject=subject, count=count)
            for pattern, counts, least in found
            for subject, count in sorted(counts.items())
            if count >= least
        ]
