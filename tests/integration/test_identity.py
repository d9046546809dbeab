"""Esper never moves a model that it has not grown: whole trajectories, compared bit for bit.

Each model is trained twice from the same seed, once plain and once wrapped with an orchestrator
that holds a real race on every layer it can (and then declines). Dropout and batch norm are in, so
that a random number drawn or a buffer touched on Esper's behalf would show.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from esper.blueprints.build import build
from esper.blueprints.library.catalog import control
from esper.contracts.enums import KernelMode
from esper.core.model_wrapper import wrap
from esper.core.morphable_model import MorphableModel
from esper.orchestration.growth_config import GrowthConfig, GrowthLimits
from esper.orchestration.orchestrator import SeedOrchestrator
from support.decisions import RaceAt

STEPS = 24
CLASSES = 4
DECLINE = GrowthConfig(
    limits=GrowthLimits(max_compute=None),
    check_every=1 / STEPS,
    observe_every=5,
    scout_compute=1e6,
    race_compute=1e6,
    rung=4 / STEPS,
    max_entrants=4,
    min_gain=1e9,
)


class LstmClassifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(6, 8, num_layers=2, dropout=0.3, batch_first=True)
        self.head = nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.lstm(x)[0][:, -1])


class EncoderClassifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.2, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2)
        self.head = nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.encoder(x).mean(1))


def mlp() -> nn.Module:
    middle = [nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3)]
    return nn.Sequential(nn.Linear(12, 16), *middle, nn.Linear(16, CLASSES))


def conv_net() -> nn.Module:
    first = [nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout2d(0.2)]
    second = [nn.Conv2d(4, 4, 3, stride=2, padding=1), nn.ReLU(), nn.Flatten()]
    return nn.Sequential(*first, *second, nn.Linear(64, CLASSES))


@dataclass(frozen=True)
class Model:
    make: Callable[[], nn.Module]
    shape: tuple[int, ...]


MODELS = {
    "mlp": Model(mlp, (12,)),
    "conv net": Model(conv_net, (1, 8, 8)),
    "transformer encoder": Model(EncoderClassifier, (5, 8)),
    "lstm": Model(LstmClassifier, (5, 6)),
}
EVERY = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS.keys())


class Session:
    """A training loop that writes down all that could differ between two runs."""

    def __init__(self, model: Model, *, wrapped: bool) -> None:
        torch.manual_seed(3)
        net = model.make()
        data = torch.Generator().manual_seed(5)
        self.x = torch.randn(160, *model.shape, generator=data)
        self.y = torch.randint(CLASSES, (160,), generator=data)
        self.model: nn.Module = wrap(net, example_input=self.x[:4]) if wrapped else net
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-2)
        self.losses: list[Tensor] = []

    def orchestrate(
        self, config: GrowthConfig, controller: RaceAt | None = None
    ) -> SeedOrchestrator:
        assert isinstance(self.model, MorphableModel)
        return SeedOrchestrator(
            self.model,
            self.optimizer,
            loss_fn=F.cross_entropy,
            growth_data=[(self.x[120:], self.y[120:])],
            total_steps=STEPS,
            config=config,
            controller=controller,
        )

    def train(self, steps: int, grow: SeedOrchestrator | None = None) -> None:
        torch.manual_seed(7)
        for step in range(steps):
            rows = torch.arange(step * 16, step * 16 + 16) % 120
            x, y = self.x[rows], self.y[rows]
            loss = F.cross_entropy(self.model(x), y)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            self.losses.append(loss.detach().clone())
            if grow is not None:
                grow.step(x, y, loss)

    def traces(self) -> dict[str, Any]:
        """Everything, by name: losses, weights and buffers, gradients, moments, random state."""
        named = dict(self.model.named_parameters())
        moments = {
            f"{name}/{key}": value
            for name, parameter in named.items()
            for key, value in self.optimizer.state[parameter].items()
        }
        gradients = {f"{n}/grad": p.grad for n, p in named.items()}
        modes = {n: m.training for n, m in _plain_modules(self.model)}
        return {
            "losses": torch.stack(self.losses),
            "random state": torch.get_rng_state(),
            "modes": modes,
            **self.model.state_dict(),
            **gradients,
            **moments,
        }


def _plain_modules(model: nn.Module) -> list[tuple[str, nn.Module]]:
    inner = model.wrapped_model if isinstance(model, MorphableModel) else model
    return list(inner.named_modules())


def assert_same(found: Session, expected: Session) -> None:
    one, other = found.traces(), expected.traces()
    assert list(one) == list(other)
    for name, value in other.items():
        same = torch.equal(one[name], value) if isinstance(value, Tensor) else one[name] == value
        assert same, name


def plain_run(model: Model, steps: int = STEPS) -> Session:
    session = Session(model, wrapped=False)
    session.train(steps)
    return session


@EVERY
def test_a_race_that_is_declined_leaves_the_hosts_whole_trajectory_as_it_was(model: Model) -> None:
    session = Session(model, wrapped=True)
    controller = RaceAt(2)
    grow = session.orchestrate(DECLINE, controller)
    session.train(STEPS, grow)
    report = grow.report()
    assert [d.verdict for d in report.decisions] == ["decline"]
    assert len(report.races) == 1
    assert report.races[0].flops > 0
    assert len(report.races[0].rungs) >= 1
    assert_same(session, plain_run(model))


@EVERY
def test_the_host_is_untouched_while_candidates_still_train(model: Model) -> None:
    session = Session(model, wrapped=True)
    grow = session.orchestrate(DECLINE, RaceAt(2))
    session.train(5, grow)
    assert grow.is_racing
    assert_same(session, plain_run(model, 5))


@EVERY
def test_an_orchestrator_that_only_looks_leaves_the_trajectory_as_it_was(model: Model) -> None:
    session = Session(model, wrapped=True)
    grow = session.orchestrate(GrowthConfig(max_grafts=0, observe_every=3))
    session.train(STEPS, grow)
    assert grow.observe().signals
    assert len(grow.report().curve) > STEPS // 2
    assert_same(session, plain_run(model))


def install_everywhere(model: MorphableModel, alpha: float) -> None:
    """A fresh copy of the host as a kernel in every layer."""
    with torch.random.fork_rng():
        for name, layer in model.kasmina_layers.items():
            assert layer.geometry is not None
            ir = control(layer.geometry).ir
            model.install_kernel(name, 0, build(ir), mode=KernelMode.REPLACING, ir=ir)
            model.set_seed_alpha(name, 0, alpha)


@EVERY
def test_kernels_at_alpha_0_leave_the_trajectory_as_it_was(model: Model) -> None:
    session = Session(model, wrapped=True)
    assert isinstance(session.model, MorphableModel)
    install_everywhere(session.model, 0.0)
    session.train(STEPS)
    expected = plain_run(model).traces()
    found = session.traces()
    for name, value in expected.items():
        if isinstance(value, Tensor):
            assert torch.equal(found[name], value), name


@EVERY
def test_culled_kernels_leave_the_trajectory_as_it_was(model: Model) -> None:
    session = Session(model, wrapped=True)
    assert isinstance(session.model, MorphableModel)
    session.model.attach_optimizer(session.optimizer)
    install_everywhere(session.model, 0.6)
    with torch.random.fork_rng(), torch.no_grad():
        session.model.eval()(session.x[:8])
    session.model.train()
    for name in session.model.kasmina_layers:
        session.model.cull(name, 0)
    session.train(STEPS)
    assert_same(session, plain_run(model))
