from __future__ import annotations

import pytest

from esper.contracts.errors import ConfigError
from esper.execution.error_tracker import (
    ErrorKind,
    ErrorPattern,
    ErrorTracker,
    Pattern,
    TrackerConfig,
)


class Hand:
    time = 0.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time


def test_errors_leave_the_window_when_their_time_is_up() -> None:
    clock = Hand()
    tracker = ErrorTracker(clock, TrackerConfig(window_seconds=10))
    tracker.record("a", ErrorKind.ABSENT, "x")
    clock.time = 5.0
    tracker.record("b", ErrorKind.MEMORY, "y")
    assert [record.component for record in tracker.recent()] == ["a", "b"]
    assert [record.message for record in tracker.recent("a")] == ["x"]
    clock.time = 10.0
    assert [record.component for record in tracker.recent()] == ["b"]
    assert (tracker.total("a"), tracker.total("b"), tracker.total("c")) == (1, 1, 0)


def test_capacity_drops_the_oldest() -> None:
    tracker = ErrorTracker(Hand(), TrackerConfig(capacity=2))
    for name in "abc":
        tracker.record(name, ErrorKind.UNKNOWN, "")
    assert [record.component for record in tracker.recent()] == ["b", "c"]


def test_patterns_are_burst_recurring_and_spreading() -> None:
    tracker = ErrorTracker(Hand(), TrackerConfig(burst=4, recurring=3, spreading=2))
    for number in range(4):
        tracker.record("a", ErrorKind.UNKNOWN, f"message {number}")
    for _ in range(3):
        tracker.record("b", ErrorKind.ABSENT, "same")
    tracker.record("c", ErrorKind.ABSENT, "other")
    assert tracker.patterns() == [
        ErrorPattern(pattern=Pattern.BURST, subject="a", count=4),
        ErrorPattern(pattern=Pattern.RECURRING, subject="b", count=3),
        ErrorPattern(pattern=Pattern.SPREADING, subject="absent", count=2),
    ]


def test_no_errors_make_no_pattern() -> None:
    assert ErrorTracker(Hand()).patterns() == []


def test_threshold_out_of_range_names_itself() -> None:
    with pytest.raises(ConfigError, match="burst is 0"):
        TrackerConfig(burst=0)
