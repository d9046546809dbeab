"""The run's own curve, from losses made by hand."""

from __future__ import annotations

import math

import pytest
import torch

from esper.orchestration.counterfactual import HeldOut
from esper.orchestration.performance import PerformanceTracker


def held_out(*losses: float) -> HeldOut:
    return HeldOut(torch.tensor(losses), 1.0, None, sum(losses) / len(losses))


def test_a_point_holds_the_mean_train_loss_since_the_one_before() -> None:
    tracker = PerformanceTracker()
    assert tracker.look(0, held_out(2.0, 2.0)).train_loss is None
    for loss in (1.0, 3.0):
        tracker.observe(torch.tensor(loss, requires_grad=True))
    assert tracker.recent_train_loss() == 2.0
    assert tracker.look(2, held_out(1.0, 1.0)).train_loss == 2.0
    assert tracker.recent_train_loss() == 2.0  # nothing since: the last one stands
    assert tracker.fall() == pytest.approx(0.5)


def test_the_headroom_is_the_surely_left_share_of_the_first_loss() -> None:
    tracker = PerformanceTracker()
    tracker.look(0, held_out(4.0, 4.0))
    assert tracker.headroom == 1.0
    tracker.look(1, held_out(1.0, 3.0))
    error = math.sqrt(2.0) / math.sqrt(2)
    assert tracker.headroom == pytest.approx((2.0 - 1.645 * error) / 4.0)


def test_a_loss_that_is_not_finite_leaves_gaps_and_no_figures() -> None:
    tracker = PerformanceTracker()
    point = tracker.look(0, held_out(math.nan, 1.0))
    assert (point.growth_loss, tracker.headroom, tracker.fall()) == (None, None, None)
    assert tracker.recent_train_loss() == math.inf


def test_an_open_interval_is_saved_and_given_back() -> None:
    tracker, other = PerformanceTracker(), PerformanceTracker()
    tracker.look(0, held_out(2.0, 2.0))
    tracker.observe(torch.tensor(5.0))
    other.load_state_dict(tracker.state_dict())
    assert other.curve == tracker.curve
    assert other.look(1, held_out(1.0, 1.0)) == tracker.look(1, held_out(1.0, 1.0))
