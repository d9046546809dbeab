"""What a step does and what it leaves: rates at 0, rest after a fossil, events of what happened."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from esper.contracts.enums import KasminaAction, KernelMode
from esper.contracts.events import LearningRateRewarmed, RaceStarted, RungFinished, SeedIsolated
from esper.contracts.operational import AdaptationDecision, GrowthObservation
from esper.core.checkpoint import load, restore, save
from esper.orchestration.growth_config import GrowthConfig
from support.proven_kernels import proven
from support.small_runs import BATCH, TOTAL_STEPS, Eager, SmallRun, data

AT_ONCE = GrowthConfig(rung=0.05, rungs=2, families=("bottleneck-mlp",), min_evidence=1)


def frozen_first(model: nn.Module) -> torch.optim.Optimizer:
    first, *others = model.parameters()
    return torch.optim.AdamW([{"params": [first], "lr": 0.0}, {"params": others, "lr": 2e-3}])


def all_at_zero(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.AdamW(model.parameters(), lr=0.0)


@pytest.mark.parametrize("optimizer", [frozen_first, all_at_zero])
def test_a_race_goes_its_way_where_a_learning_rate_is_zero(optimizer: object) -> None:
    run = SmallRun(AT_ONCE, optimizer, {"controller": Eager()})  # type: ignore[arg-type]
    run.train(30)
    assert len(run.kept.of(RaceStarted)) >= 1
    standings = run.kept.of(RungFinished)[0].standings
    assert all(s.loss is not None and s.survived is not None for s in standings)


def with_a_fossil(mode: KernelMode) -> SmallRun:
    run = SmallRun()
    run.train(10)
    geometry = run.model.layer("0").geometry
    assert geometry is not None
    kernel = proven(geometry, "bottleneck-mlp", mode=mode)
    load = run.command(KasminaAction.LOAD_KERNEL, kernel_id=kernel.kernel_id)
    assert run.grow.carry_out(load, kernel)
    assert run.grow.observe().live_seeds == 1
    assert run.grow.carry_out(run.command(KasminaAction.SET_ALPHA, alpha=1.0))
    assert run.grow.carry_out(run.command(KasminaAction.FOSSILIZE))
    assert run.grow.observe().live_seeds == 0
    return run


@pytest.mark.parametrize("mode", list(KernelMode))
def test_after_a_fossil_a_step_does_nothing_most_of_the_time(mode: KernelMode) -> None:
    run = with_a_fossil(mode)
    run.train(1)  # looks round once after the commands
    waits = []
    while run.grow.current_step < TOTAL_STEPS:
        waits.append(run.grow._next_due - run.grow.current_step)
        run.train(1)
    assert sum(wait > 1 for wait in waits) > 0.7 * len(waits)


def test_the_rate_of_what_was_grafted_rises_and_falls_at_every_step_to_the_end() -> None:
    run = with_a_fossil(KernelMode.REPLACING)
    (told,) = run.kept.of(LearningRateRewarmed)
    assert (told.step, told.layer_name, told.peak, told.warmup_steps) == (10, "0", 1e-3, 50)
    rates = []
    while run.grow.current_step < TOTAL_STEPS - 1:
        run.train(1)
        rates.append(float(run.optimizer.param_groups[-1]["lr"]))
    top = rates.index(max(rates))
    assert top == 50 - 2  # the step after this one is the fiftieth since the graft
    assert rates[top] == pytest.approx(1e-3)
    assert all(a < b for a, b in pairwise(rates[: top + 1]))
    assert all(a > b for a, b in pairwise(rates[top:]))
    assert rates[-1] < 1e-6


def test_the_rate_is_found_again_when_the_optimizers_groups_are_new_objects() -> None:
    run = with_a_fossil(KernelMode.RESIDUAL)
    run.train(1)
    run.optimizer.load_state_dict(run.optimizer.state_dict())
    before = float(run.optimizer.param_groups[-1]["lr"])
    run.train(1)
    assert float(run.optimizer.param_groups[-1]["lr"]) > before


class Failing(nn.Module):
    """Returns what no kernel may."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(8))

    def forward(self, x: Tensor) -> Tensor:
        broken = self.weight + float("nan") if self.training else self.weight
        return broken.expand(len(x), 8)


@pytest.mark.parametrize("permanent", [False, True])
def test_an_isolated_kernel_leaves_an_event(permanent: bool) -> None:
    run = SmallRun()
    run.model.install_kernel("0", 0, Failing(), mode=KernelMode.RESIDUAL, label="bad/one")
    run.model.set_seed_alpha("0", 0, 0.5)
    if permanent:
        run.model.fossilize("0", 0)
    run.train(2)
    assert run.kept.of(SeedIsolated) == []
    run.train(3)
    (event,) = run.kept.of(SeedIsolated)
    assert (event.step, event.layer_name, event.seed_idx, event.blueprint) == (3, "0", 0, "bad/one")
    assert event.failures == 3
    assert "NaN" in event.reason


@pytest.mark.parametrize("told", [False, True])
def test_every_micro_batch_of_a_step_is_booked(told: bool) -> None:
    whole, parts = SmallRun(), SmallRun()
    whole.train(3)
    for _ in range(3):
        x, y = data(BATCH)
        for part, target in zip(x.chunk(4), y.chunk(4), strict=True):
            loss = F.cross_entropy(parts.model(part), target) / 4
            torch.autograd.backward([loss])
        parts.optimizer.step()
        parts.grow.step(part, target, loss, samples=BATCH if told else None)
    assert parts.grow.cost().host == whole.grow.cost().host > 0
    assert parts.grow.cost().static == whole.grow.cost().static
    assert parts.grow.run.ledger.given == 3 * BATCH // 4


def test_the_growth_split_is_measured_once_at_a_step() -> None:
    run = SmallRun()
    run.train(9)
    before = run.grow.cost().evaluation
    run.train(1)  # the first look
    looked = run.grow.cost().evaluation
    assert looked - before == pytest.approx(100 * run.grow.run.ledger.forward_flops)
    seen = run.grow.held_out()
    assert seen.loss == run.grow.report().curve[-1].growth_loss
    assert run.grow.cost().evaluation == looked
    run.train(1)
    assert run.grow.held_out() is not seen
    assert run.grow.cost().evaluation - looked == pytest.approx(looked - before)


def test_a_command_between_two_looks_has_the_growth_split_measured_again() -> None:
    run = with_a_fossil(KernelMode.REPLACING)
    seen = run.grow.held_out()
    assert run.grow.held_out() is seen
    geometry = run.model.layer("2").geometry
    assert geometry is not None
    kernel = proven(geometry, "bottleneck-mlp", mode=KernelMode.RESIDUAL)
    where = {"layer_name": "2", "kernel_id": kernel.kernel_id}
    assert run.grow.carry_out(run.command(KasminaAction.LOAD_KERNEL, **where), kernel)
    assert run.grow.held_out() is not seen


class Patient(Eager):
    """Opens its first race when it is asked for the third time."""

    asked = 0

    def decide(self, observation: GrowthObservation) -> AdaptationDecision | None:
        self.asked += 1
        return super().decide(observation) if self.asked == 3 else None

    def state_dict(self) -> dict[str, Any]:
        return {"asked": self.asked}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.asked = state["asked"]


def test_a_resumed_run_goes_on_with_what_its_controller_remembers(tmp_path: Path) -> None:
    whole, first, second = (SmallRun(AT_ONCE, None, {"controller": Patient()}) for _ in range(3))
    whole.train(60)
    first.train(25)  # asked twice
    parts = {"model": first.model, "optimizer": first.optimizer, "orchestrator": first.grow}
    save(tmp_path / "checkpoint.pt", **parts)
    parts = {"model": second.model, "optimizer": second.optimizer, "orchestrator": second.grow}
    restore(load(tmp_path / "checkpoint.pt"), **parts)
    second.train(35)
    assert second.grow.report() == whole.grow.report()
    assert len(whole.grow.report().races) == 1
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[name]), name
