"""One call for every task: regression, classification and a sequence task grow the same way."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from sklearn.datasets import load_diabetes, load_digits
from torch import Tensor, nn
from torch.nn import functional as F

from esper.contracts.growth import GrowthReport
from esper.core.export import export
from esper.core.model_wrapper import wrap
from esper.orchestration.growth_config import GrowthConfig, GrowthLimits
from esper.orchestration.orchestrator import SeedOrchestrator
from support.decisions import RaceAt

STEPS = 300
RACE_AT = 60
LICENSE = Path(__file__).resolve().parents[2] / "LICENSE"
VERDICTS = {"graft", "decline", "fossilise", "cull", "roll back"}

HONEST = GrowthConfig(
    limits=GrowthLimits(max_compute=None),
    check_every=0.1,
    observe_every=20,
    scout_compute=1e6,
    race_compute=1e6,
    rung=0.03,
    max_entrants=4,
    ramp=0.05,
    settle=0.1,
    min_evidence=20,
)
PERMISSIVE = dataclasses.replace(
    HONEST, rung=0.12, min_gain=-10.0, rent_flops=0.0, rent_parameters=0.0
)


class Characters(nn.Module):
    """Names the next character at each position."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocabulary, 16)
        self.gru = nn.GRU(16, 24, batch_first=True)
        self.mix = nn.Linear(24, 24)
        self.head = nn.Linear(24, vocabulary)

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(torch.relu(self.mix(self.gru(self.embed(ids))[0])))


@dataclass(frozen=True)
class Task:
    """What a user brings: model, data, loss and metric."""

    make: Callable[[], nn.Module]
    x: Tensor
    y: Tensor
    loss_fn: Callable[[Any, Any], Tensor]
    metric: Callable[[Any, Any], Any]
    layer: str
    """A layer to graft into."""
    families: tuple[str, ...] | None = None
    """Who may compete for it; None: everybody."""
    rate: float = 5e-3
    """Learning rate."""


def regression() -> Task:
    data = load_diabetes()
    x = torch.tensor(data.data, dtype=torch.float32) * 20
    y = torch.tensor(data.target, dtype=torch.float32)[:, None]
    y = (y - y.mean()) / y.std()
    net = lambda: nn.Sequential(nn.Linear(10, 16), nn.ReLU(), nn.Linear(16, 1))  # noqa: E731  # one line says it
    return Task(net, x, y, F.mse_loss, lambda o, t: -F.l1_loss(o, t), "0")


def classification() -> Task:
    data = load_digits()
    x = torch.tensor(data.images, dtype=torch.float32)[:, None] / 16
    y = torch.tensor(data.target)

    def net() -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 24), nn.ReLU(), nn.Linear(24, 10))

    return Task(
        net, x, y, nn.CrossEntropyLoss(), lambda o, t: (o.argmax(1) == t).float().mean(), "1"
    )


def sequence() -> Task:
    text = LICENSE.read_text(encoding="utf-8")
    letters = {c: i for i, c in enumerate(sorted(set(text)))}
    ids = torch.tensor([letters[c] for c in text])
    rows = ids[: len(ids) // 21 * 21].reshape(-1, 21)

    def loss(output: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(output.flatten(0, 1), target.flatten())

    return Task(
        lambda: Characters(len(letters)),
        rows[:, :-1],
        rows[:, 1:],
        loss,
        lambda o, t: (o.argmax(-1) == t).float().mean(),
        "mix",
    )


def lacking_regression() -> Task:
    """What a digit is worth, as a number, by a host that is linear."""
    task = classification()
    worth = (task.y[:, None].float() - 4.5) / 3
    return dataclasses.replace(
        regression(),
        make=lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 1)),
        x=task.x,
        y=worth,
        layer="1",
        families=("conv2d",),
    )


def lacking_classification() -> Task:
    """Whether a digit is odd, by a host that is linear."""
    task = classification()

    def net() -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 2))

    return dataclasses.replace(task, make=net, y=task.y % 2, families=("conv2d",))


def lacking_sequence() -> Task:
    """Text by a host that sees one character at a time."""
    task = sequence()

    def net() -> nn.Module:
        letters = int(task.y.max()) + 1
        return nn.Sequential(nn.Embedding(letters, 24), nn.Linear(24, 24), nn.Linear(24, letters))

    return dataclasses.replace(task, make=net, layer="1", families=("gru",), rate=2e-2)


TASKS = {"regression": regression, "classification": classification, "sequence": sequence}
EVERY = pytest.mark.parametrize("task", TASKS.values(), ids=TASKS.keys())
# Hosts that lack something obvious, so that a graft is earned and not only allowed.
LACKING = pytest.mark.parametrize(
    "task",
    [lacking_regression, lacking_classification, lacking_sequence],
    ids=["regression", "classification", "sequence"],
)


def one_cycle(optimizer: torch.optim.Optimizer) -> Any:
    return torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=optimizer.defaults["lr"], total_steps=STEPS + 1
    )


def step_lr(optimizer: torch.optim.Optimizer) -> Any:
    return torch.optim.lr_scheduler.StepLR(optimizer, 100, gamma=0.5)


class Session:
    """A user's own loop."""

    def __init__(
        self,
        make: Callable[[], Task],
        config: GrowthConfig,
        scheduler: Callable[..., Any] = step_lr,
    ) -> None:
        self.task = task = make()
        torch.manual_seed(1)
        self.held = max(60, len(task.x) // 5)
        self.model = wrap(task.make(), example_input=task.x[:3])
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=task.rate)
        self.scheduler = scheduler(self.optimizer)
        self.rates: list[float] = []
        self.before: dict[str, Tensor] = {}
        """The model's state at the last step boundary of a race, before growth had its turn."""
        self.grow = SeedOrchestrator(
            self.model,
            self.optimizer,
            loss_fn=task.loss_fn,
            growth_data=[(task.x[: self.held], task.y[: self.held])],
            total_steps=STEPS,
            metric=task.metric,
            scheduler=self.scheduler,
            config=dataclasses.replace(config, families=task.families),
            controller=RaceAt(RACE_AT, layers=(task.layer,)),
        )

    def step(self) -> None:
        task, n = self.task, len(self.task.x) - self.held
        rows = self.held + torch.arange(32).add(32 * self.grow.current_step) % n
        x, y = task.x[rows], task.y[rows]
        loss = task.loss_fn(self.model(x), y)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.rates.append(self.optimizer.param_groups[0]["lr"])
        self.scheduler.step()
        if self.grow.is_racing:
            self.before = {n: v.detach().clone() for n, v in self.model.state_dict().items()}
        self.grow.step(x, y, loss)

    def train_to(self, done: Callable[[], bool]) -> None:
        while not done():
            assert self.grow.current_step < STEPS, self.grow.report().decisions
            self.step()

    def finish(self) -> GrowthReport:
        self.train_to(lambda: self.grow.current_step == STEPS)
        return self.grow.finish()


def assert_report_adds_up(report: GrowthReport, session: Session) -> None:
    cost = report.cost
    assert cost.total == cost.host + cost.shadow + cost.evaluation
    assert min(cost.host, cost.shadow, cost.evaluation, cost.static) > 0
    assert cost.shadow == pytest.approx(sum(race.flops for race in report.races))
    steps = [point.step for point in report.curve]
    assert steps[0] == 0
    assert steps == sorted(set(steps))
    for point in report.curve:
        assert point.growth_loss is not None
        assert point.growth_metric is not None
    assert report.steps == report.total_steps == STEPS
    assert report.parameters_after == sum(p.numel() for p in session.model.parameters())
    assert {d.verdict for d in report.decisions} <= VERDICTS
    for decision in report.decisions:
        assert decision.reason
        if decision.verdict in {"graft", "fossilise", "cull"}:
            assert decision.evidence is not None
            assert decision.evidence.ci_low <= decision.evidence.gain <= decision.evidence.ci_high
            assert decision.evidence.samples == session.held
    assert GrowthReport.model_validate_json(report.model_dump_json()) == report


@EVERY
@pytest.mark.parametrize("scheduler", [one_cycle, step_lr])
def test_a_task_runs_through_the_one_call_and_its_report_adds_up(
    task: Callable[[], Task], scheduler: Callable[..., Any]
) -> None:
    session = Session(task, HONEST, scheduler)
    report = session.finish()
    assert len(report.races) == 1
    assert report.decisions
    assert_report_adds_up(report, session)
    assert report.curve[-1].growth_loss < report.curve[0].growth_loss
    alone = nn.Parameter(torch.zeros(1))
    reference = scheduler(torch.optim.AdamW([alone], lr=session.task.rate))
    for rate in session.rates:
        assert rate == pytest.approx(reference.get_last_lr()[0])
        reference.optimizer.step()
        reference.step()


@LACKING
@pytest.mark.parametrize("scheduler", [one_cycle, step_lr])
def test_a_graft_becomes_a_fossil_and_the_export_computes_the_same(
    task: Callable[[], Task], scheduler: Callable[..., Any]
) -> None:
    session = Session(task, PERMISSIVE, scheduler)
    report = session.finish()
    assert [d.verdict for d in report.decisions] == ["graft", "fossilise"]
    assert_report_adds_up(report, session)
    assert session.model.layer(session.task.layer).host_dropped
    held = {p for group in session.optimizer.param_groups for p in group["params"]}
    assert held == set(session.model.parameters())
    plain = export(session.model).eval()
    session.model.eval()
    with torch.no_grad():
        assert torch.equal(plain(session.task.x[:50]), session.model(session.task.x[:50]))
    assert math.isfinite(report.curve[-1].growth_loss or math.nan)


@LACKING
def test_a_kernel_that_breaks_is_culled_and_the_model_is_bit_for_bit_what_it_was(
    task: Callable[[], Task],
) -> None:
    session = Session(task, PERMISSIVE)
    session.train_to(lambda: session.grow.is_racing)
    while session.grow.is_racing:
        session.step()
    assert session.grow.is_grafting, session.grow.report().decisions
    layer = session.model.layer(session.task.layer)
    kernel = next(seed.kernel for seed in layer.live_seeds())
    assert kernel is not None
    with torch.no_grad():
        next(kernel.parameters()).fill_(math.nan)
    session.train_to(lambda: not session.grow.is_grafting)
    found = session.model.state_dict()
    assert list(found) == list(session.before)
    for name, value in session.before.items():
        assert torch.equal(found[name], value), name
    assert session.grow.report().decisions[-1].verdict == "roll back"
    assert not session.model.morphogenetic_active
    report = session.finish()
    assert_report_adds_up(report, session)
    assert report.parameters_after == report.parameters_before
