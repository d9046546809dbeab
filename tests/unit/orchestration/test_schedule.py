"""The rise of alpha and the re-warmed learning rate."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esper.orchestration.schedule import AlphaSchedule, alpha_at, rewarm

PROGRESS = st.floats(min_value=0, max_value=1)


@pytest.mark.parametrize("schedule", AlphaSchedule)
def test_alpha_is_exactly_zero_at_the_start_and_one_at_the_end(schedule: AlphaSchedule) -> None:
    assert alpha_at(0.0, schedule) == 0.0
    assert alpha_at(1.0, schedule) == 1.0
    assert alpha_at(-3.0, schedule) == 0.0
    assert alpha_at(7.0, schedule) == 1.0


@given(PROGRESS, PROGRESS, st.sampled_from(AlphaSchedule))
def test_alpha_never_falls(a: float, b: float, schedule: AlphaSchedule) -> None:
    low, high = sorted((a, b))
    assert 0.0 <= alpha_at(low, schedule) <= alpha_at(high, schedule) + 1e-12 <= 1.0 + 1e-12


@pytest.mark.parametrize("schedule", AlphaSchedule)
def test_every_schedule_is_half_way_at_half_time(schedule: AlphaSchedule) -> None:
    assert alpha_at(0.5, schedule) == pytest.approx(0.5)


def test_the_schedules_differ_between_their_ends() -> None:
    assert len({round(alpha_at(0.2, s), 6) for s in AlphaSchedule}) == len(AlphaSchedule)


def test_rewarm_rises_to_one_and_falls_to_zero() -> None:
    assert rewarm(0.0, 0.1) == 0.0
    assert rewarm(0.05, 0.1) == pytest.approx(0.5)
    assert rewarm(0.1, 0.1) == pytest.approx(1.0)
    assert rewarm(1.0, 0.1) == pytest.approx(0.0)
    assert rewarm(0.0, 0.0) == 1.0
