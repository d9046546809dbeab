"""A small race, made the same every time, for whoever is to hold it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from esper.blueprints.library.catalog import candidate, control
from esper.contracts.enums import KernelMode
from esper.contracts.growth import CandidateStanding
from esper.core.model_wrapper import wrap
from esper.core.morphable_model import MorphableModel
from esper.orchestration.counterfactual import GrowthSplit
from esper.orchestration.entrant import enter
from esper.orchestration.growth_config import GrowthConfig
from esper.orchestration.jury import Outcome
from esper.orchestration.nursery import Batch, Mark, answer
from esper.orchestration.race import Race
from esper.orchestration.shadow import OwnRandomness, Shadow, tensors

SLOT = "0"
RUNG = 30


def signals(n: int) -> tuple[Tensor, Tensor]:
    """Which signals are rough: something that a convolution learns and a perceptron hardly does."""
    generator = torch.Generator().manual_seed(n)
    noise, y = torch.randn(n, 41, generator=generator), torch.arange(n) % 2
    rough, smooth = noise.diff(dim=1), (noise[:, 1:] + noise[:, :-1])
    return torch.where(y[:, None] == 1, rough, smooth), y


def host() -> MorphableModel:
    """A host that draws the same weights every time."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(40, 32), nn.ReLU(), nn.Dropout(0.1), nn.Linear(32, 2))
    return wrap(net, example_input=signals(8)[0])


def small_race(model: MorphableModel, loss_fn: Any = F.cross_entropy) -> Race:
    """Two challengers and a control, with everything that draws on chance."""
    shadow = Shadow(model.wrapped_model, signals(8)[0])
    torch.manual_seed(2)
    geometry = model.kasmina_layers[SLOT].geometry
    assert geometry is not None
    families = ("conv1d", "bottleneck-mlp")
    chosen = [candidate(geometry, f, "small", KernelMode.REPLACING) for f in families]
    entrants = []
    for one in [*chosen, control(geometry)]:
        standing = CandidateStanding(
            candidate=one.label, layer_name=SLOT, family=one.family, mode=one.mode
        )
        entrants.append(enter(one, standing, 0.0, shadow))
    return Race(
        index=0,
        start=0,
        shadow=shadow,
        entrants=entrants,
        first=RUNG,
        full=RUNG,
        split=GrowthSplit([signals(400)], loss_fn),
        loss_fn=loss_fn,
        lr=1e-2,
        scouting=1e12,
        allowance=1e12,
        host_flops=1000.0,
        config=GrowthConfig(min_gain=0.0, confidence=0.6),
        randomness=OwnRandomness(0, torch.device("cpu")),
        seed=0,
    )


def course(model: MorphableModel, race: Race) -> list[Batch | Mark]:
    """What a race is given from its opening to its last mark, while the host changes."""
    told: list[Batch | Mark] = []
    torch.manual_seed(1)
    for step in range(1, RUNG * race.most_rungs + 1):
        x, y = signals(64 + step)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(0.999)
        told.append(Batch(*race.share(x, y), pace=1.0 - step / 200))
        if step % RUNG == 0:
            live = {n: t.clone() for n, t in tensors(model.wrapped_model).items()}
            told.append(Mark(step, live))
    return told


@dataclass(frozen=True)
class Held:
    """How a race went."""

    outcome: Outcome
    rungs: tuple[Any, ...]
    flops: float


def hold_here(race: Race, told: list[Batch | Mark]) -> Held:
    """Hold a race in this process."""
    for news in told:
        found = answer(race, news)
        if found is not None and found.outcome is not None:
            return Held(found.outcome, tuple(race.rungs), found.flops)
    raise AssertionError("the race has no end")
