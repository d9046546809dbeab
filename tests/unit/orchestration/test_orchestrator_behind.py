"""The growth cycle behind a module: a linear host gets the bend that its task needs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from esper.contracts.enums import AdaptationStrategyName
from esper.contracts.growth import GrowthReport
from esper.core.checkpoint import load, restore, save
from esper.core.export import export
from esper.core.model_wrapper import wrap
from esper.orchestration.growth_config import GrowthConfig
from esper.orchestration.orchestrator import SeedOrchestrator

STEPS = 300
CONFIG = GrowthConfig(
    strategy=AdaptationStrategyName.ENSEMBLE,
    first_check=0.1,
    rung=0.1,
    ramp=0.05,
    settle=0.05,
    max_grafts=1,
)


def data(n: int) -> tuple[Tensor, Tensor]:
    """Whether two numbers have one sign: no linear map tells."""
    x = torch.randn(n, 8, generator=torch.Generator().manual_seed(n))
    return x, (x[:, 0] * x[:, 1] > 0).long()


class Session:
    """A user's own loop around a host that is linear, whatever it learns."""

    def __init__(self, site: str = "1+") -> None:
        torch.manual_seed(0)
        self.x, self.y = data(4000)
        host = nn.Sequential(nn.Linear(8, 16), nn.Identity(), nn.Linear(16, 2))
        self.model = wrap(host, [site], example_input=self.x[:4])
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-2)
        self.grow = SeedOrchestrator(
            self.model,
            self.optimizer,
            loss_fn=F.cross_entropy,
            growth_data=[data(1000)],
            total_steps=STEPS,
            config=CONFIG,
        )

    def train(self, stop: int) -> None:
        for step in range(self.grow.current_step, stop):
            rows = torch.arange(step * 64, step * 64 + 64) % 4000
            x, y = self.x[rows], self.y[rows]
            loss = F.cross_entropy(self.model(x), y)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            self.grow.step(x, y, loss)

    def save(self, path: Path) -> None:
        save(path, model=self.model, optimizer=self.optimizer, orchestrator=self.grow)


@pytest.fixture(scope="module")
def finished() -> tuple[Session, GrowthReport]:
    session = Session()
    session.train(STEPS)
    return session, session.grow.finish()


def test_a_kernel_behind_a_module_beats_the_null_and_stays(
    finished: tuple[Session, GrowthReport],
) -> None:
    session, report = finished
    assert [d.verdict for d in report.decisions][:2] == ["graft", "fossilise"]
    race = report.races[0]
    assert {e.layer_name for e in race.entrants} == {"1+"}
    null = next(e for e in race.entrants if e.family == "control")
    assert (null.parameters, null.flops, null.rent) == (0, 0, 0.0)
    (grown,) = [record for record in report.after if record.grown]
    assert grown.name == "1+"
    x, y = data(500)
    answers = session.model.eval()(x).argmax(1)
    assert (answers == y).float().mean() > 0.8  # the host alone: a coin


def test_its_export_is_a_plain_model(finished: tuple[Session, GrowthReport]) -> None:
    model = finished[0].model.eval()
    plain, (x, _) = export(model).eval(), data(50)
    assert torch.allclose(plain(x), model(x), atol=1e-6)
    assert not any("esper" in type(part).__module__ for part in plain.modules())


@pytest.mark.parametrize("broken_at", [40, 130])  # in the race, after the graft
def test_a_resumed_run_ends_bit_for_bit_as_the_unbroken_one(
    finished: tuple[Session, GrowthReport], tmp_path: Path, broken_at: int
) -> None:
    first = Session()
    first.train(broken_at)
    first.save(tmp_path / "run.pt")
    second = Session()
    state = load(tmp_path / "run.pt")
    restore(state, model=second.model, optimizer=second.optimizer, orchestrator=second.grow)
    second.train(STEPS)
    expected = finished[0].model.state_dict()
    assert list(second.model.state_dict()) == list(expected)
    for name, value in second.model.state_dict().items():
        assert torch.equal(value, expected[name]), name


def test_behind_the_last_module_the_null_trains_nothing_and_costs_nothing() -> None:
    session = Session("2+")
    session.train(STEPS)
    race = session.grow.finish().races[0]
    nulls = [s for rung in race.rungs for s in rung.standings if s.family == "control"]
    assert len(nulls) == len(race.rungs) > 0  # it is measured at every mark
    assert {rung.host_loss for rung in race.rungs} == {null.loss for null in nulls}
