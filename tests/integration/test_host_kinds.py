"""Whole runs on hosts of every kind: the growth cycle knows none of them by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional as F

from esper.contracts.growth import GrowthReport
from esper.core.export import export
from esper.core.model_wrapper import wrap
from esper.orchestration.growth_config import GrowthConfig, GrowthLimits
from esper.orchestration.orchestrator import SeedOrchestrator
from support.decisions import RaceAt

STEPS, RACE_AT, HELD = 240, 48, 300
# Whoever wins its race is kept: what is tried here is the way, not the choice.
CONFIG = GrowthConfig(
    limits=GrowthLimits(max_compute=None),
    check_every=0.1,
    observe_every=20,
    scout_compute=1e6,
    race_compute=1e6,
    rung=0.12,
    max_entrants=3,
    confidence=0.6,
    ramp=0.05,
    settle=0.1,
    min_evidence=20,
    min_gain=-10.0,
    rent_flops=0.0,
    rent_parameters=0.0,
)
# torch's own: every model with an nn.GRU in it makes torch.export say this.
pytestmark = pytest.mark.filterwarnings("ignore:The tensor attributes .*_flat_weights")


class Recurrent(nn.Module):
    """Reads a picture row by row, through one number a row."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = nn.Linear(8, 1)
        self.gru = nn.GRU(1, 8, batch_first=True)
        self.head = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        rows = self.rows(x.flatten(1).unflatten(1, (8, 8)))
        return self.head(self.gru(rows)[0].mean(1))


class Attending(nn.Module):
    """Looks at the rows of a picture, from one to another."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = nn.Linear(8, 4)
        self.places = nn.Parameter(torch.zeros(8, 4))
        layer = nn.TransformerEncoderLayer(4, 2, 1, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.rows(x.flatten(1).unflatten(1, (8, 8))) + self.places
        return self.head(self.encoder(tokens).mean(1))


def perceptron() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 4), nn.Linear(4, 2))


def convolutional() -> nn.Module:
    body = (nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(2))
    return nn.Sequential(*body, nn.Flatten(), nn.Linear(16, 2))


@dataclass(frozen=True)
class Kind:
    """A host, and the layer of it that grows."""

    make: Callable[[], nn.Module]
    layer: str
    rate: float = 5e-3
    """Learning rate."""
    is_close: bool = False
    """Whether its race is so close that another processor's rounding may decide it."""


KINDS = {
    "mlp": Kind(perceptron, "1"),
    "cnn": Kind(convolutional, "0"),
    "gru": Kind(Recurrent, "rows", rate=1e-2),
    "transformer": Kind(Attending, "encoder.layers.0.linear1", rate=1e-2, is_close=True),
}


class Run:
    """A user's own loop: whether a handwritten digit is odd."""

    def __init__(self, kind: Kind, config: GrowthConfig = CONFIG) -> None:
        digits = load_digits()
        self.x = torch.tensor(digits.images, dtype=torch.float32)[:, None] / 16
        self.y = torch.tensor(digits.target) % 2
        torch.manual_seed(0)
        self.model = wrap(kind.make(), [kind.layer], example_input=self.x[:3])
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=kind.rate)
        self.grow = SeedOrchestrator(
            self.model,
            self.optimizer,
            loss_fn=F.cross_entropy,
            growth_data=[(self.x[:HELD], self.y[:HELD])],
            total_steps=STEPS,
            config=config,
            controller=RaceAt(RACE_AT, layers=(kind.layer,)),
        )

    def finished(self) -> GrowthReport:
        self.model.train()
        for step in range(STEPS):
            rows = HELD + torch.arange(32).add(32 * step) % (len(self.x) - HELD)
            loss = F.cross_entropy(self.model(self.x[rows]), self.y[rows])
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            self.grow.step(self.x[rows], self.y[rows], loss)
        return self.grow.finish()


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
def test_a_host_grows_in_a_whole_run_and_its_export_computes_the_same(kind: Kind) -> None:
    run = Run(kind)
    report = run.finished()
    verdicts = [str(decision.verdict) for decision in report.decisions]
    grown = verdicts == ["graft", "fossilise"]
    assert grown or (kind.is_close and verdicts == ["decline"]), report.decisions
    assert report.curve[-1].growth_loss < report.curve[0].growth_loss  # type: ignore[operator]
    cost = report.cost
    assert cost.total == cost.host + cost.shadow + cost.evaluation
    assert min(cost.host, cost.shadow, cost.evaluation) > 0
    assert cost.shadow == pytest.approx(sum(race.flops for race in report.races))
    parameters = list(run.model.parameters())
    assert report.parameters_after == sum(p.numel() for p in parameters)
    assert {p for group in run.optimizer.param_groups for p in group["params"]} == set(parameters)
    plain = export(run.model).eval()
    assert not any(type(part).__module__.startswith("esper") for part in plain.modules())
    run.model.eval()
    with torch.no_grad():
        assert torch.allclose(plain(run.x[:50]), run.model(run.x[:50]), atol=1e-5)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
def test_a_race_that_nobody_wins_leaves_training_as_if_it_had_not_been(kind: Kind) -> None:
    run = Run(kind, dataclasses.replace(CONFIG, min_gain=10.0))
    report = run.finished()
    assert len(report.races) == 1
    assert {str(d.verdict) for d in report.decisions} == {"decline"}
    assert report.parameters_after == report.parameters_before
    alone = Run(kind)
    for step in range(STEPS):
        rows = HELD + torch.arange(32).add(32 * step) % (len(alone.x) - HELD)
        alone.optimizer.zero_grad()
        F.cross_entropy(alone.model(alone.x[rows]), alone.y[rows]).backward()
        alone.optimizer.step()
    found = run.model.state_dict()
    for name, value in alone.model.state_dict().items():
        assert torch.equal(found[name], value), name
