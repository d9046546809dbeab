from __future__ import annotations

import math

from esper.services.tolaria.run_progress import EarlyStop
from esper.services.tolaria.training_config import EarlyStopConfig


def due_at(losses: list[float], config: EarlyStopConfig) -> int | None:
    record = EarlyStop()
    for index, loss in enumerate(losses):
        record = record.after(loss, config)
        if record.is_due(config):
            return index
    return None


def test_run_ends_when_patience_has_run_out() -> None:
    assert due_at([3, 2, 2.5, 2.4, 2.3], EarlyStopConfig(patience=3)) == 4


def test_improvement_renews_patience() -> None:
    assert due_at([3, 2, 2.5, 1.9, 2.3], EarlyStopConfig(patience=2)) is None


def test_fall_smaller_than_the_margin_is_no_improvement() -> None:
    assert due_at([3, 2.95, 2.91], EarlyStopConfig(patience=2, min_delta=0.1)) == 2


def test_loss_that_is_not_finite_is_no_improvement() -> None:
    assert due_at([3, math.nan, math.inf], EarlyStopConfig(patience=2)) == 2


def test_no_patience_means_no_early_end() -> None:
    assert due_at([1.0] * 100, EarlyStopConfig()) is None
