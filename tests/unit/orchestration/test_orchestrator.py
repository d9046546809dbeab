"""The growth cycle end to end on MNIST-1D, shortened; resuming; bad input."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from pydantic import BaseModel
from torch import Tensor, nn

from esper.contracts.enums import AdaptationAction
from esper.contracts.errors import ConfigError, OptimizerError
from esper.contracts.operational import AdaptationDecision, GrowthObservation
from esper.core.checkpoint import load, restore, save
from esper.core.export import export
from esper.core.model_wrapper import wrap
from esper.core.morphable_model import MorphableModel
from esper.data.bundle import DataBundle
from esper.data.catalog import load as load_data
from esper.orchestration.growth_config import GrowthConfig
from esper.orchestration.orchestrator import SeedOrchestrator

STEPS = 360
# A short run needs a race within it: the same method with wider spans.
CONFIG = GrowthConfig(first_check=0.1, rung=0.12, ramp=0.05, settle=0.05, max_grafts=1)


@pytest.fixture(scope="module")
def bundle() -> DataBundle:
    return load_data("mnist1d")


class Events:
    """A sink that keeps what it is told."""

    def __init__(self) -> None:
        self.kinds: list[str] = []

    def emit(self, event: BaseModel) -> None:
        self.kinds.append(type(event).__name__)


class Session:
    """A user's own loop."""

    def __init__(self, bundle: DataBundle, config: GrowthConfig = CONFIG) -> None:
        torch.manual_seed(0)
        self.x, self.y = bundle.train.tensors
        self.model = wrap(bundle.model(), example_input=self.x[:4])
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=5e-3)
        self.scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, STEPS)
        self.events = Events()
        self.grow = SeedOrchestrator(
            self.model,
            self.optimizer,
            loss_fn=F.cross_entropy,
            growth_data=[(self.x[3600:], self.y[3600:])],
            total_steps=STEPS,
            metric=lambda o, y: (o.argmax(1) == y).float().mean(),
            scheduler=self.scheduler,
            config=config,
            sinks=[self.events],
        )

    def train(self, start: int, stop: int) -> None:
        for step in range(start, stop):
            rows = torch.arange(step * 64, step * 64 + 64) % 3600
            x, y = self.x[rows], self.y[rows]
            loss = F.cross_entropy(self.model(x), y)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            self.scheduler.step()
            self.grow.step(x, y, loss)


@pytest.fixture(scope="module")
def finished(bundle: DataBundle) -> Session:
    session = Session(bundle)
    session.train(0, STEPS)
    return session


def test_a_run_races_grafts_and_keeps_a_better_layer(finished: Session) -> None:
    report = finished.grow.finish()
    verdicts = [d.verdict for d in report.decisions]
    assert verdicts[:2] == ["graft", "fossilise"]
    kept = report.decisions[1]
    assert kept.candidate is not None
    assert kept.candidate.family == "conv1d"
    assert kept.evidence is not None
    assert kept.evidence.ci_low > 0
    assert finished.model.kasmina_layers["0"].host_dropped
    assert "took over layer 0" in report.summary
    kinds = finished.events.kinds
    order = ["AdaptationDecided", "RaceStarted", "RungFinished", "RaceDecided", "VerdictReached"]
    order += ["SeedGerminated", "GraftStarted", "LearningRateRewarmed", "GraftEvaluated"]
    order += ["SeedFossilized"]
    assert [k for k in dict.fromkeys(kinds) if k != "HealthMeasured"] == order


def test_the_report_adds_up(finished: Session) -> None:
    report = finished.grow.report()
    assert report.cost.total == report.cost.host + report.cost.shadow + report.cost.evaluation
    assert report.cost.host > report.cost.static > 0
    assert report.cost.shadow == pytest.approx(sum(r.flops for r in report.races))
    assert report.parameters_after == sum(p.numel() for p in finished.model.parameters())
    steps = [p.step for p in report.curve]
    assert steps == sorted(steps)
    assert [r.grown for r in report.after if r.name == "0"] == [True]
    assert type(report).model_validate_json(report.model_dump_json()) == report


def test_the_optimizer_holds_exactly_the_grown_models_parameters(finished: Session) -> None:
    held = {p for group in finished.optimizer.param_groups for p in group["params"]}
    assert held == set(finished.model.parameters())
    assert set(finished.optimizer.state) <= held


def test_the_exported_model_computes_the_same(finished: Session) -> None:
    finished.model.eval()
    plain = export(finished.model)
    with torch.no_grad():
        assert torch.equal(plain(finished.x[:64]), finished.model(finished.x[:64]))
    finished.model.train()


def snapshot(model: MorphableModel) -> dict[str, Tensor]:
    return {k: v.clone() for k, v in model.state_dict().items()}


@pytest.mark.parametrize("broken_at", [30, 90, 170, 200, 230, 300])
def test_a_resumed_run_ends_bit_for_bit_as_the_unbroken_one(
    bundle: DataBundle, finished: Session, tmp_path: Any, broken_at: int
) -> None:
    first = Session(bundle)
    first.train(0, broken_at)
    path = tmp_path / "checkpoint.pt"
    save(
        path,
        model=first.model,
        optimizer=first.optimizer,
        scheduler=first.scheduler,
        orchestrator=first.grow,
    )
    second = Session(bundle)
    restore(
        load(path),
        model=second.model,
        optimizer=second.optimizer,
        scheduler=second.scheduler,
        orchestrator=second.grow,
    )
    second.train(broken_at, STEPS)
    expected = snapshot(finished.model)
    for name, value in second.model.state_dict().items():
        assert torch.equal(value, expected[name]), name
    assert second.grow.report().decisions == finished.grow.report().decisions


def test_a_config_that_forbids_growth_leaves_the_run_as_it_is(bundle: DataBundle) -> None:
    session = Session(bundle, GrowthConfig(max_grafts=0))
    torch.manual_seed(0)
    plain = bundle.model()
    optimizer = torch.optim.AdamW(plain.parameters(), lr=5e-3)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    session.train(0, 60)
    for step in range(60):
        rows = torch.arange(step * 64, step * 64 + 64) % 3600
        loss = F.cross_entropy(plain(session.x[rows]), session.y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
    for name, value in plain.state_dict().items():
        assert torch.equal(value, session.model.state_dict()[name])
    assert "Nothing was grown" in session.grow.finish().summary


def test_an_optimizer_of_another_model_is_refused_with_the_remedy(bundle: DataBundle) -> None:
    net = bundle.model()
    model = wrap(copy.deepcopy(net), example_input=bundle.example)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with pytest.raises(OptimizerError, match=r"after esper\.wrap"):
        SeedOrchestrator(model, optimizer, loss_fn=F.cross_entropy, growth_data=[], total_steps=10)


def test_a_plain_model_and_a_run_of_no_steps_are_refused(bundle: DataBundle) -> None:
    net = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with pytest.raises(ConfigError, match=r"Linear; wrap it first"):
        SeedOrchestrator(net, optimizer, loss_fn=F.mse_loss, growth_data=[], total_steps=5)  # type: ignore[arg-type]
    model = wrap(bundle.model(), example_input=bundle.example)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(ConfigError, match="total_steps is 0"):
        SeedOrchestrator(model, optimizer, loss_fn=F.cross_entropy, growth_data=[], total_steps=0)


class Culling:
    """A controller that asks for what an orchestrator does not do on request."""

    def decide(self, observation: GrowthObservation) -> AdaptationDecision:
        return AdaptationDecision(
            step=observation.step, action=AdaptationAction.CULL, reason="for the test"
        )


def test_a_decision_that_cannot_be_carried_out_is_refused(bundle: DataBundle) -> None:
    session = Session(bundle)
    session.grow.controller = Culling()
    with pytest.raises(ConfigError, match=r"'cull'.*only opens races"):
        session.train(0, 60)


def test_a_run_shorter_than_the_span_between_health_samples_gets_some(bundle: DataBundle) -> None:
    session = Session(bundle, GrowthConfig(max_grafts=0))
    session.train(0, 80)
    assert session.events.kinds.count("HealthMeasured") == 2
    assert [s.step for s in session.grow.observe().signals] == [72] * 3


def test_the_books_are_complete_whenever_they_are_read(bundle: DataBundle) -> None:
    session = Session(bundle, GrowthConfig(max_grafts=0))
    session.train(0, 5)
    cost = session.grow.report().cost
    assert cost.host == cost.static > 0
    session.train(5, 10)
    assert session.grow.state_dict()["ledger"]["samples"] == 10 * 64
    assert session.grow.report().cost.host == 2 * cost.host
