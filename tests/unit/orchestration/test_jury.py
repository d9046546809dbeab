"""Verdicts of a race, over answers made by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from esper.blueprints.library.catalog import CONTROL, control
from esper.contracts.enums import KernelMode
from esper.contracts.growth import CandidateStanding
from esper.orchestration.counterfactual import HeldOut
from esper.orchestration.entrant import Entrant
from esper.orchestration.growth_config import GrowthConfig
from esper.orchestration.jury import Jury
from support.places import geometry_at

ANY = control(geometry_at("linear over a signal"))


def answers(loss: float) -> HeldOut:
    spread = torch.linspace(-0.05, 0.05, 100)
    return HeldOut(loss + spread, 1.0, None, loss)


def entrant(family: str, loss: float, rent: float = 0.0) -> Entrant:
    standing = CandidateStanding(
        candidate=f"{family}/small",
        layer_name="0",
        family=family,
        mode=KernelMode.REPLACING,
        rent=rent,
    )
    kernel = nn.Linear(1, 1)
    made = Entrant(ANY, standing, 0.0, kernel, {}, torch.optim.SGD(kernel.parameters(), lr=0.1))
    made.held_out = answers(loss)
    return made


def judged(
    challenger: Entrant, control_loss: float, host_loss: float = 1.0
) -> tuple[Jury, Entrant]:
    jury = Jury([challenger, entrant(CONTROL, control_loss)], 0, GrowthConfig(min_gain=0.02))
    figures = jury.measured(challenger, answers(host_loss))
    challenger.standing = challenger.standing.model_copy(update=figures)
    return jury, challenger


def test_a_leader_wins_that_beats_host_and_control_by_its_price() -> None:
    jury, leader = judged(entrant("glu", 0.5, rent=0.01), control_loss=0.9)
    assert leader.net_gain == pytest.approx(0.4 - 0.01)  # over its control, less rent
    outcome = jury.decide(leader, answers(1.0))
    assert outcome.winner is leader
    assert "beats a fresh copy of the layer by 44.4%" in outcome.reason


@pytest.mark.parametrize(
    ("loss", "control_loss", "rent", "why"),
    [
        (0.99, 0.99, 0.0, "has to pay 2.0%"),
        (0.8, 0.9, 0.3, "has to pay 32.0%"),
        (0.5, 0.5, 0.0, "does not clearly beat a fresh copy"),
    ],
)
def test_a_leader_that_misses_one_of_them_does_not(
    loss: float, control_loss: float, rent: float, why: str
) -> None:
    jury, leader = judged(entrant("glu", loss, rent), control_loss)
    outcome = jury.decide(leader, answers(1.0))
    assert outcome.winner is None
    assert outcome.best is leader
    assert why in outcome.reason


def test_a_challenger_that_diverged_has_no_figures_and_no_prospect() -> None:
    jury, leader = judged(entrant("glu", math.nan), control_loss=0.9)
    assert leader.standing.loss is None
    assert not jury.has_prospect(leader, is_first_mark=True)
    assert "diverged in the shadow" in jury.decline([leader], answers(1.0)).reason


def test_where_the_control_diverged_nobody_has_to_beat_it() -> None:
    jury, leader = judged(entrant("glu", 0.5), control_loss=math.inf)
    assert jury.against_control(leader) is None
    assert jury.has_prospect(leader, is_first_mark=False)
    assert jury.decide(leader, answers(1.0)).winner is leader
