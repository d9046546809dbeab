"""A race in the shadow: who goes on, what it may cost, and what happens to those who fail."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from esper.blueprints.library.catalog import candidate, control
from esper.contracts.enums import KernelMode
from esper.contracts.growth import CandidateStanding
from esper.core.model_wrapper import wrap
from esper.core.morphable_model import MorphableModel
from esper.orchestration.counterfactual import GrowthSplit
from esper.orchestration.entrant import Entrant, enter
from esper.orchestration.growth_config import GrowthConfig
from esper.orchestration.race import Race
from esper.orchestration.shadow import OwnRandomness, Shadow, tensors

SLOT = "0"


class Failing(nn.Module):
    """A kernel that raises from a certain call on."""

    def __init__(self, calls: int) -> None:
        super().__init__()
        self.left = calls
        self.linear = nn.Linear(40, 32)

    def forward(self, x: Tensor) -> Tensor:
        self.left -= 1
        if self.left < 0:
            raise RuntimeError("out of luck")
        result: Tensor = self.linear(x)
        return result


def data(n: int) -> tuple[Tensor, Tensor]:
    """Which half of the signal holds more energy: something that can be learned."""
    x = torch.randn(n, 40, generator=torch.Generator().manual_seed(n))
    return x, (x[:, :20].norm(dim=1) > x[:, 20:].norm(dim=1)).long()


@pytest.fixture
def model() -> MorphableModel:
    net = nn.Sequential(nn.Linear(40, 32), nn.ReLU(), nn.Linear(32, 2))
    return wrap(net, example_input=data(8)[0])


def make_race(
    model: MorphableModel, *, families: tuple[str, ...] = ("bottleneck-mlp", "glu"), **settings: Any
) -> Race:
    shadow = Shadow(model.wrapped_model, data(8)[0])
    geometry = model.kasmina_layers[SLOT].geometry
    assert geometry is not None
    entrants = [
        make_entrant(candidate(geometry, family, "small", KernelMode.REPLACING), shadow)
        for family in families
    ]
    entrants.append(make_entrant(control(geometry), shadow))
    options: dict[str, Any] = {"scouting": 1e12, "allowance": 1e12} | settings
    return Race(
        index=0,
        start=0,
        shadow=shadow,
        entrants=entrants,
        first=12,
        full=12,
        split=GrowthSplit([data(400)], F.cross_entropy),
        loss_fn=F.cross_entropy,
        lr=1e-2,
        host_flops=1000.0,
        config=GrowthConfig(),
        randomness=OwnRandomness(0, torch.device("cpu")),
        seed=0,
        **options,
    )


def make_entrant(chosen: Any, shadow: Shadow) -> Entrant:
    standing = CandidateStanding(
        candidate=chosen.label, layer_name=SLOT, family=chosen.family, mode=chosen.mode
    )
    return enter(chosen, standing, 0.0, shadow)


def run(race: Race, model: MorphableModel, steps: int = 200) -> Any:
    x, y = data(64)
    for step in range(steps):
        race.train(x, y, pace=1.0)
        if race.is_due:
            outcome = race.mark(step, tensors(model.wrapped_model))
            if outcome is not None:
                return outcome
    raise AssertionError("the race has no end")


def test_a_race_ends_with_a_reason_and_its_books_in_order(model: MorphableModel) -> None:
    race = make_race(model)
    outcome = run(race, model)
    assert outcome.reason
    record = race.record(99)
    assert record.flops == race.flops > 0
    assert race.evaluated > 0
    assert len(record.entrants) == 3
    leaders = [s for s in record.rungs[0].standings if s.family != "control"]
    assert [s.net_gain for s in leaders] == sorted((s.net_gain for s in leaders), reverse=True)


def test_the_control_is_the_measure_of_the_ranking(model: MorphableModel) -> None:
    race = make_race(model)
    run(race, model)
    for rung in race.rungs:
        controls = [s for s in rung.standings if s.family == "control"]
        assert [s.net_gain for s in controls] == [0.0] * len(controls)


def test_a_kernel_that_raises_leaves_the_race_and_the_others_go_on(model: MorphableModel) -> None:
    race = make_race(model)
    race.entrants[0].kernel = Failing(calls=5)
    run(race, model)
    assert race.failures == 1
    assert not race.entrants[0].running
    assert all(s.candidate != race.entrants[0].standing.candidate for s in race.rungs[0].standings)


def test_a_race_of_failing_kernels_ends_without_a_winner(model: MorphableModel) -> None:
    race = make_race(model)
    for entrant in race.entrants[:2]:
        entrant.kernel = Failing(calls=3)
    outcome = run(race, model)
    assert outcome.winner is None
    assert "no challenger was left" in outcome.reason


def test_a_kernel_that_fails_only_when_judged_leaves_the_race_too(model: MorphableModel) -> None:
    race = make_race(model)
    race.entrants[0].kernel = Failing(calls=12)
    run(race, model)
    assert race.failures == 1


def test_a_kernel_that_diverges_is_ranked_last(model: MorphableModel) -> None:
    race = make_race(model)
    nn.init.constant_(next(race.entrants[0].kernel.parameters()), float("nan"))
    run(race, model)
    last = race.rungs[0].standings[-1]
    assert last.candidate == race.entrants[0].standing.candidate
    assert last.loss is None
    assert last.net_gain is None


def test_a_used_up_budget_ends_the_race_at_the_first_mark_on_all_samples(
    model: MorphableModel,
) -> None:
    race = make_race(model, scouting=0.0, allowance=0.0)
    outcome = run(race, model)
    assert len(race.rungs) == 1
    if outcome.evidence is not None:
        assert outcome.evidence.samples == 400


def test_marks_come_at_steps_that_are_known_in_advance_however_little_is_trained(
    model: MorphableModel,
) -> None:
    race = make_race(model)
    race.length = 5
    x, y = data(64)
    trained = []
    for _ in range(12):
        before = race.flops
        race.train(x, y, pace=1.0)
        trained.append(race.flops > before)
        assert race.is_due == (len(trained) == 12)
    assert trained == [True] * 5 + [False] * 7
    full, short = make_race(model), make_race(model, scouting=0.0, allowance=1.0)
    run(full, model)
    run(short, model)
    assert [r.step % 12 for r in full.rungs] == [11] * len(full.rungs)
    assert [r.step for r in short.rungs] == [11]


def test_the_host_behind_the_shadow_is_not_touched(model: MorphableModel) -> None:
    before = {k: v.clone() for k, v in model.state_dict().items()}
    state = torch.get_rng_state()
    race = make_race(model)
    # Dropout draws from the global generator, which is the host's.
    race.entrants[0].kernel = nn.Sequential(race.entrants[0].kernel, nn.Dropout(0.5))
    torch.set_rng_state(state)
    run(race, model)
    assert torch.equal(torch.get_rng_state(), state)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
    assert all(p.grad is None for p in model.parameters())


def test_what_follows_the_slot_is_a_private_copy(model: MorphableModel) -> None:
    race = make_race(model)
    assert set(race.entrants[0].rest) == {"2.weight", "2.bias"}
    run(race, model)
    frozen = race.shadow.model.get_parameter("2.weight")
    assert torch.equal(frozen, model.get_parameter("wrapped_model.2.weight"))
    assert not torch.equal(race.entrants[0].rest["2.weight"], frozen)
