"""A graft's timetable and verdict, from figures made by hand."""

from __future__ import annotations

import pytest
import torch

from esper.contracts.enums import KernelMode
from esper.contracts.growth import CandidateStanding, Evidence
from esper.orchestration.counterfactual import HeldOut, compare
from esper.orchestration.graft import Graft, verdict
from esper.orchestration.growth_config import GrowthConfig


def answers(loss: float) -> HeldOut:
    return HeldOut(torch.full((40,), loss), 1.0, None, loss)


def graft(ramp: int = 10) -> Graft:
    return Graft(
        slot="0",
        seed_idx=1,
        standing=CandidateStanding(
            candidate="glu/small", layer_name="0", family="glu", mode=KernelMode.RESIDUAL
        ),
        evidence=evidence(0.1, 0.05, 0.15),
        before=answers(2.0),
        shift={"2.weight": torch.ones(2)},
        start=100,
        ramp=ramp,
        settle=5,
    )


def evidence(gain: float, low: float, high: float) -> Evidence:
    found = compare(answers(1.0), answers(1.0), seed=0)
    return found.model_copy(update={"gain": gain, "ci_low": low, "ci_high": high})


def test_alpha_rises_over_the_ramp_and_stays() -> None:
    config = GrowthConfig()
    assert [graft().alpha(step, config) for step in (100, 105, 110, 140)] == [0.0, 0.5, 1.0, 1.0]
    assert graft(ramp=0).alpha(100, config) == 1.0


def test_it_is_judged_once_it_has_settled() -> None:
    assert [graft().is_due(step) for step in (110, 114, 115)] == [False, False, True]


@pytest.mark.parametrize(
    ("low", "high", "kept"), [(0.1, 0.3, True), (-0.2, 0.0, True), (-0.3, -0.1, False)]
)
def test_it_stays_unless_the_loss_surely_rose(low: float, high: float, kept: bool) -> None:
    found, reason = verdict(evidence((low + high) / 2, low, high))
    assert found is kept
    assert "against the model before the graft" in reason


def test_a_graft_is_saved_and_given_back() -> None:
    saved = graft().state_dict()
    again = Graft.from_state_dict(saved)
    assert again.state_dict().keys() == saved.keys()
    assert (again.standing, again.evidence, again.start) == (
        graft().standing,
        graft().evidence,
        100,
    )
    assert torch.equal(again.before.losses, graft().before.losses)
    assert torch.equal(again.shift["2.weight"], torch.ones(2))
