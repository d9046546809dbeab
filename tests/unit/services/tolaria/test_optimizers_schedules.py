from __future__ import annotations

from typing import get_args, get_type_hints

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR

from esper.services.tolaria.optimizers import factor, make_scheduler
from esper.services.tolaria.training_config import ScheduleConfig


@pytest.mark.parametrize("name", get_args(get_type_hints(ScheduleConfig)["name"]))
def test_factor_stays_between_zero_and_one(name: str) -> None:
    config = ScheduleConfig(name=name, warmup=7)  # type: ignore[arg-type]  # a parameter
    factors = [factor(step, 100, config) for step in range(101)]
    assert all(0 <= f <= 1 for f in factors)
    assert max(factors) == pytest.approx(1)


def test_cosine_falls_from_the_peak_to_the_final_factor() -> None:
    config = ScheduleConfig(name="cosine", final=0.1)
    assert factor(0, 100, config) == 1
    assert factor(50, 100, config) == pytest.approx(0.55)
    assert factor(100, 100, config) == pytest.approx(0.1)


def test_warmup_rises_in_equal_parts_to_the_peak() -> None:
    config = ScheduleConfig(name="none", warmup=4)
    assert [factor(s, 10, config) for s in range(6)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1, 1])


def test_step_drops_at_equal_shares_of_the_run() -> None:
    config = ScheduleConfig(name="step", every=1 / 3, drop=0.1)
    factors = [factor(s, 30, config) for s in range(30)]
    assert factors == pytest.approx([1.0] * 10 + [0.1] * 10 + [0.01] * 10)


def test_onecycle_is_the_one_of_torch() -> None:
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
    theirs = OneCycleLR(optimizer, max_lr=1.0, total_steps=101, cycle_momentum=False)
    config = ScheduleConfig(name="onecycle")
    for step in range(101):
        # torch rounds the turning point to a step: 0.3 * 101 - 1
        if not 28 <= step <= 32:
            ours = factor(step, 100, config)
            assert ours == pytest.approx(optimizer.param_groups[0]["lr"], abs=0.03)
        optimizer.step()
        if step < 100:
            theirs.step()


def test_scheduler_drives_the_optimizer_and_goes_on_from_its_state() -> None:
    def course(scheduler: torch.optim.lr_scheduler.LambdaLR, steps: int) -> list[float]:
        rates = []
        for _ in range(steps):
            rates.append(scheduler.optimizer.param_groups[0]["lr"])
            scheduler.optimizer.step()
            scheduler.step()
        return rates

    def fresh() -> torch.optim.lr_scheduler.LambdaLR:
        optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=0.5)
        return make_scheduler(optimizer, 20, ScheduleConfig(warmup=3))

    whole = course(fresh(), 20)
    first = fresh()
    begun = course(first, 8)
    second = fresh()
    second.load_state_dict(first.state_dict())
    second.optimizer.load_state_dict(first.optimizer.state_dict())
    assert begun + course(second, 12) == whole
    assert max(whole) == 0.5
