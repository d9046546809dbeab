"""The rise of alpha and the re-warmed learning rate."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from esper.orchestration.schedule import AlphaSchedule, alpha_at, kernel_lr, leading_group, rewarm

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


def sgd(*rates: float, **options: float) -> torch.optim.Optimizer:
    groups = [{"params": [nn.Parameter(torch.zeros(1))], "lr": rate, **options} for rate in rates]
    return torch.optim.SGD(groups, lr=0.25)


def test_the_peak_is_where_the_schedule_of_the_first_group_that_learns_rises_to() -> None:
    assert leading_group(sgd(0.1, 0.2)) == (0, 0.1)
    assert leading_group(sgd(0.0, 0.2)) == (1, 0.2)  # the first group is frozen
    assert leading_group(sgd(0.01, initial_lr=0.3)) == (0, 0.3)
    assert leading_group(sgd(0.01, initial_lr=0.3, max_lr=0.9)) == (0, 0.9)


def test_where_every_group_stands_at_zero_the_optimizers_default_is_the_peak() -> None:
    assert leading_group(sgd(0.0, 0.0)) == (0, 0.25)
    still = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.0)
    assert leading_group(still) == (0, 1e-3)


def test_kernels_learn_at_twice_the_rate_of_adam_and_at_a_fixed_one_beside_others() -> None:
    parameters = [nn.Parameter(torch.zeros(1))]
    assert kernel_lr(torch.optim.AdamW(parameters, lr=3e-3)) == 6e-3
    assert kernel_lr(sgd(0.1)) == 2e-3
