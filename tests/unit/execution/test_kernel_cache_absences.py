from __future__ import annotations

import pytest

from esper.contracts.errors import ConfigError
from esper.execution import kernel_cache
from esper.execution.kernel_cache import Absences
from support.clocks import StillClock


def test_an_absence_is_remembered_until_its_time_is_over() -> None:
    clock = StillClock()
    known = Absences(5.0, clock)
    assert known.age("a") is None
    known.note("a")
    clock.advance(4.5)
    assert known.age("a") == pytest.approx(4.5)
    clock.advance(0.5)
    assert known.age("a") is None


def test_an_absence_noted_again_begins_anew() -> None:
    clock = StillClock()
    known = Absences(5.0, clock)
    known.note("a")
    clock.advance(4)
    known.note("a")
    clock.advance(4)
    assert known.age("a") == pytest.approx(4)


def test_forgetting_takes_one_and_clearing_all() -> None:
    known = Absences(5.0, StillClock())
    for name in "abc":
        known.note(name)
    known.forget("a")
    known.forget("never noted")
    assert [known.age(name) for name in "abc"] == [None, 0.0, 0.0]
    known.clear()
    assert known.age("b") is None


def test_zero_seconds_remember_nothing() -> None:
    known = Absences(0.0, StillClock())
    known.note("a")
    assert known.age("a") is None


def test_the_oldest_leaves_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_cache, "MOST_ABSENCES", 2)
    known = Absences(5.0, StillClock())
    for name in "abac":
        known.note(name)
    assert [known.age(name) for name in "abc"] == [0.0, None, 0.0]


@pytest.mark.parametrize("seconds", [-1.0, float("nan")])
def test_a_time_below_zero_is_a_config_error(seconds: float) -> None:
    with pytest.raises(ConfigError, match="negative_seconds"):
        Absences(seconds, StillClock())
