"""A group that is added later neither breaks a torch scheduler nor is moved by it."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import Optimizer, lr_scheduler, swa_utils

from esper.contracts.errors import OptimizerError
from esper.core.optimizer import (
    ScheduledGroups,
    add_parameters,
    isolate_scheduler,
    load_state_by_name,
    remove_parameters,
    state_by_name,
)

SCHEDULERS: dict[str, Callable[[Optimizer], Any]] = {
    "LambdaLR": lambda o: lr_scheduler.LambdaLR(o, [lambda e: 0.9**e, lambda e: 1 / (1 + e)]),
    "MultiplicativeLR": lambda o: lr_scheduler.MultiplicativeLR(o, lambda e: 0.9),
    "StepLR": lambda o: lr_scheduler.StepLR(o, 2, gamma=0.5),
    "MultiStepLR": lambda o: lr_scheduler.MultiStepLR(o, [2, 5]),
    "ConstantLR": lambda o: lr_scheduler.ConstantLR(o, factor=0.3, total_iters=4),
    "LinearLR": lambda o: lr_scheduler.LinearLR(o, start_factor=0.2, total_iters=6),
    "ExponentialLR": lambda o: lr_scheduler.ExponentialLR(o, 0.8),
    "PolynomialLR": lambda o: lr_scheduler.PolynomialLR(o, total_iters=8, power=2.0),
    "CosineAnnealingLR": lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=9),
    "CosineAnnealingWarmRestarts": lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 3),
    "OneCycleLR": lambda o: lr_scheduler.OneCycleLR(o, max_lr=[0.5, 0.2], total_steps=20),
    "CyclicLR": lambda o: lr_scheduler.CyclicLR(o, 0.01, [0.2, 0.1], step_size_up=3),
    "ReduceLROnPlateau": lambda o: lr_scheduler.ReduceLROnPlateau(
        o, patience=1, min_lr=[1e-3, 1e-2]
    ),
    "SequentialLR": lambda o: lr_scheduler.SequentialLR(
        o,
        [
            lr_scheduler.LinearLR(o, start_factor=0.1, total_iters=3),
            lr_scheduler.CosineAnnealingLR(o, T_max=6),
        ],
        milestones=[3],
    ),
    "ChainedScheduler": lambda o: lr_scheduler.ChainedScheduler(
        [lr_scheduler.ConstantLR(o, factor=0.5), lr_scheduler.ExponentialLR(o, 0.9)], optimizer=o
    ),
    "SWALR": lambda o: swa_utils.SWALR(o, swa_lr=[0.05, 0.01], anneal_epochs=4),
}
EVERY = pytest.mark.parametrize("kind", SCHEDULERS)
STEPS = 10


class Run:
    def __init__(self, kind: str) -> None:
        self.host = {f"p.{i}": nn.Parameter(torch.ones(2)) for i in range(2)}
        first, second = self.host.values()
        self.optimizer: Optimizer = torch.optim.SGD(
            [{"params": [first]}, {"params": [second], "lr": 0.05}], lr=0.1, momentum=0.9
        )
        self.scheduler = SCHEDULERS[kind](self.optimizer)
        self.kernel: dict[str, nn.Parameter] = {}

    def grow(self) -> None:
        self.kernel = {"kernel": nn.Parameter(torch.ones(3))}
        add_parameters(self.optimizer, self.kernel, lr=0.7)

    def step(self) -> tuple[list[float], list[float]]:
        for parameter in (*self.host.values(), *self.kernel.values()):
            parameter.grad = torch.ones_like(parameter)
        self.optimizer.step()
        if isinstance(self.scheduler, lr_scheduler.ReduceLROnPlateau):
            self.scheduler.step(1.0)
        else:
            self.scheduler.step()
        groups = self.optimizer.param_groups
        return (
            [float(g["lr"]) for g in groups[:2]],
            [float(g["momentum"]) for g in groups[:2]],
        )


def test_every_scheduler_class_of_torch_is_in_the_table() -> None:
    known = {
        name
        for module in (lr_scheduler, swa_utils)
        for name, value in inspect.getmembers(module, inspect.isclass)
        if issubclass(value, lr_scheduler.LRScheduler) and not name.startswith("_")
    }
    assert known - {"LRScheduler"} == set(SCHEDULERS)


@EVERY
@pytest.mark.parametrize("grow_at", [0, 3])
def test_old_groups_follow_the_untouched_schedule_and_the_new_one_stays(
    kind: str, grow_at: int
) -> None:
    plain, grown = Run(kind), Run(kind)
    isolate_scheduler(grown.scheduler, grown.optimizer)
    for step in range(STEPS):
        if step == grow_at:
            grown.grow()
        if step == grow_at + 4:
            remove_parameters(grown.optimizer, grown.kernel.values())
            grown.kernel = {}
            assert len(grown.optimizer.param_groups) == 2
        assert plain.step() == grown.step()
        if grown.kernel:
            assert grown.optimizer.param_groups[2]["lr"] == 0.7
            assert grown.optimizer.param_groups[2]["momentum"] == 0.9
        assert plain.scheduler.get_last_lr() == grown.scheduler.get_last_lr()
    for name, parameter in plain.host.items():
        assert torch.equal(parameter, grown.host[name])


@EVERY
def test_a_group_added_before_the_isolation_is_not_moved_either(kind: str) -> None:
    plain, grown = Run(kind), Run(kind)
    grown.grow()
    isolate_scheduler(grown.scheduler, grown.optimizer)
    for _ in range(STEPS):
        assert plain.step() == grown.step()
        assert grown.optimizer.param_groups[2]["lr"] == 0.7


@EVERY
def test_the_scheduler_state_round_trips_through_a_grown_run(kind: str) -> None:
    plain, first = Run(kind), Run(kind)
    isolate_scheduler(first.scheduler, first.optimizer)
    first.grow()
    for _ in range(4):
        plain.step()
        first.step()
    saved = copy.deepcopy(first.scheduler.state_dict())
    state = state_by_name(first.optimizer, {**first.host, **first.kernel})
    second = Run(kind)
    isolate_scheduler(second.scheduler, second.optimizer)
    second.kernel = {"kernel": nn.Parameter(torch.ones(3))}
    load_state_by_name(second.optimizer, {**second.host, **second.kernel}, state)
    second.scheduler.load_state_dict(saved)
    for _ in range(STEPS - 4):
        expected = plain.step()
        assert expected == first.step()
        assert expected == second.step()
        assert second.optimizer.param_groups[2]["lr"] == 0.7


@EVERY
def test_isolating_twice_changes_nothing_more(kind: str) -> None:
    run = Run(kind)
    isolate_scheduler(run.scheduler, run.optimizer)
    view = run.scheduler.optimizer
    run.grow()
    isolate_scheduler(run.scheduler, run.optimizer)
    assert run.scheduler.optimizer is view
    assert len(view.param_groups) == 2


def test_the_view_copies_and_answers_for_the_optimizer() -> None:
    run = Run("StepLR")
    isolate_scheduler(run.scheduler, run.optimizer)
    view = run.scheduler.optimizer
    assert isinstance(view, ScheduledGroups)
    assert view.defaults is run.optimizer.defaults
    twin = copy.deepcopy(run.scheduler)
    assert len(twin.optimizer.param_groups) == 2
    assert twin.optimizer.param_groups[0] is not run.optimizer.param_groups[0]


def test_a_scheduler_of_another_optimizer_is_refused() -> None:
    run, other = Run("StepLR"), Run("StepLR")
    with pytest.raises(OptimizerError, match="StepLR drives SGD, not the optimizer"):
        isolate_scheduler(run.scheduler, other.optimizer)
    with pytest.raises(OptimizerError, match="drives NoneType"):
        isolate_scheduler(object(), run.optimizer)
