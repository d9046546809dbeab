"""Races that are held elsewhere: the same result, later; and what happens when it does not come."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from pydantic import BaseModel

from esper.contracts.events import RaceDecided
from esper.core.checkpoint import load, restore, save
from esper.core.model_wrapper import wrap
from esper.data.bundle import DataBundle
from esper.data.catalog import load as load_data
from esper.orchestration.growth_config import GrowthConfig
from esper.orchestration.orchestrator import SeedOrchestrator
from esper.orchestration.race import FOLLOWED
from esper.orchestration.shadow import tensors
from support.nurseries import LateNursery

STEPS = 360
SETTINGS: dict[str, Any] = {
    "first_check": 0.1,
    "rung": 0.12,
    "ramp": 0.05,
    "settle": 0.05,
    "max_grafts": 1,
}


@pytest.fixture(scope="module")
def bundle() -> DataBundle:
    return load_data("mnist1d")


class Decisions:
    """A sink that keeps how races ended."""

    def __init__(self) -> None:
        self.found: list[RaceDecided] = []

    def emit(self, event: BaseModel) -> None:
        if isinstance(event, RaceDecided):
            self.found.append(event)


class Loop:
    """A user's own loop."""

    def __init__(
        self, bundle: DataBundle, nursery: LateNursery | None = None, **settings: Any
    ) -> None:
        torch.manual_seed(0)
        self.x, self.y = bundle.train.tensors
        self.model = wrap(bundle.model(), example_input=self.x[:4])
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=5e-3)
        self.decided = Decisions()
        self.grow = SeedOrchestrator(
            self.model,
            self.optimizer,
            loss_fn=F.cross_entropy,
            growth_data=[(self.x[3600:], self.y[3600:])],
            total_steps=STEPS,
            config=GrowthConfig(**{**SETTINGS, **settings}),
            nursery=nursery,
            sinks=[self.decided],
        )

    def train(self, start: int = 0, stop: int = STEPS) -> Loop:
        for step in range(start, stop):
            rows = torch.arange(step * 64, step * 64 + 64) % 3600
            loss = F.cross_entropy(self.model(self.x[rows]), self.y[rows])
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            self.grow.step(self.x[rows], self.y[rows], loss)
        return self


@pytest.fixture(scope="module")
def inline(bundle: DataBundle) -> Loop:
    return Loop(bundle).train()


@pytest.mark.parametrize("lag", [0, 30])
def test_a_race_elsewhere_comes_out_as_in_the_loop_and_its_winner_is_kept(
    bundle: DataBundle, inline: Loop, lag: int
) -> None:
    nursery = LateNursery(lag)
    elsewhere = Loop(bundle, nursery).train()
    expected, found = inline.grow.finish(), elsewhere.grow.finish()
    assert found.races[0].entrants == expected.races[0].entrants
    assert found.races[0].rungs == expected.races[0].rungs
    assert found.races[0].flops == expected.races[0].flops
    assert found.races[0].end == expected.races[0].end + 1 + lag
    verdicts = [d.verdict for d in found.decisions]
    assert verdicts[:2] == ["graft", "fossilise"]
    assert found.decisions[0].evidence == expected.decisions[0].evidence
    assert found.decisions[0].against_control == expected.decisions[0].against_control
    assert found.cost.shadow == expected.cost.shadow
    assert not nursery.wards[0].is_abandoned


@pytest.mark.parametrize("marks", [0, 1])
def test_a_worker_that_dies_costs_its_race_and_nothing_else(bundle: DataBundle, marks: int) -> None:
    nursery = LateNursery(2, dies_after=marks)
    broken = Loop(bundle, nursery, cooldown=0.02).train()
    alone = Loop(bundle, max_grafts=0).train()
    for name, value in alone.model.state_dict().items():
        assert torch.equal(value, broken.model.state_dict()[name]), name
    report = broken.grow.finish()
    assert len(nursery.wards) > 1  # there is a next race, and it is handed over too
    assert nursery.wards[0].is_abandoned
    assert [len(r.rungs) for r in report.races[:2]] == [marks, marks]
    assert {d.verdict for d in report.decisions} == {"decline"}
    assert "killed by SIGKILL" in report.decisions[0].reason
    assert broken.decided.found[0].winner is None
    assert "killed by SIGKILL" in broken.decided.found[0].reason


def test_a_race_that_is_not_taken_is_written_down(bundle: DataBundle) -> None:
    loop = Loop(bundle, LateNursery(refuses=True)).train(stop=120)
    assert not loop.grow.is_racing
    assert loop.grow.report().decisions[0].reason == "there is no room"


def test_the_end_of_the_run_calls_a_race_elsewhere_off(bundle: DataBundle) -> None:
    nursery = LateNursery(lag=10_000)
    report = Loop(bundle, nursery).train().grow.finish()
    assert nursery.wards[-1].is_abandoned
    assert report.decisions[-1].reason == "the run ended before the race did"


def test_a_resumed_run_calls_a_race_elsewhere_off_and_says_so(
    bundle: DataBundle, tmp_path: Path
) -> None:
    first = Loop(bundle, LateNursery()).train(stop=100)
    assert first.grow.is_racing
    save(tmp_path / "c.pt", model=first.model, optimizer=first.optimizer, orchestrator=first.grow)
    second = Loop(bundle, LateNursery())
    restore(
        load(tmp_path / "c.pt"),
        model=second.model,
        optimizer=second.optimizer,
        orchestrator=second.grow,
    )
    assert not second.grow.is_racing
    report = second.grow.report()
    assert len(report.races) == 1
    assert "not part of a checkpoint" in report.decisions[-1].reason
    assert "not part of a checkpoint" in second.decided.found[-1].reason
    assert second.train(100, 200).grow.report().steps == 200
    assert first.train(100).grow.finish().decisions[0].verdict == "graft"  # it has gone on


def test_the_copy_that_entrants_stand_on_follows_the_host_every_few_steps(
    bundle: DataBundle,
) -> None:
    loop, seen = Loop(bundle), []
    for step in range(60):
        loop.train(step, step + 1)
        race = loop.grow._racing.race
        if race is not None and race.steps:
            live = tensors(loop.model.wrapped_model)
            copied = tensors(race.shadow.model)
            is_fresh = all(torch.equal(copied[name], live[name]) for name in live)
            seen.append((race.steps, is_fresh))
    fresh = [steps for steps, is_fresh in seen if is_fresh]
    assert fresh == [steps for steps, _ in seen if steps % FOLLOWED == 1]
    assert len(fresh) > 1
