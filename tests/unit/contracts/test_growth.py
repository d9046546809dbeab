from __future__ import annotations

import pytest
from pydantic import ValidationError

from esper.contracts.growth import (
    CandidateStanding,
    CostAccount,
    CurvePoint,
    Evidence,
    GrowthDecision,
    GrowthReport,
    LayerRecord,
    RaceRecord,
    RungRecord,
)

STANDING = CandidateStanding(
    candidate="conv1d/small", layer_name="body.0", family="conv1d", mode="replacing"
)
EVIDENCE = Evidence(
    gain=0.2,
    ci_low=0.1,
    ci_high=0.3,
    confidence=0.95,
    loss_without=1.0,
    loss_with=0.8,
    temperature_without=1.5,
    temperature_with=1.1,
    samples=500,
)


def test_what_was_spent_is_the_sum_and_a_multiple_of_the_static_run() -> None:
    cost = CostAccount(host=10.0, shadow=15.0, evaluation=5.0, static=10.0)
    assert cost.total == 30.0
    assert cost.multiple == 3.0


def test_without_a_static_run_the_multiple_is_one() -> None:
    assert CostAccount(host=0.0, shadow=0.0, evaluation=0.0, static=0.0).multiple == 1.0


def test_evidence_needs_samples_and_a_level_between_0_and_1() -> None:
    for change in ({"samples": 0}, {"confidence": 1.0}, {"gain": float("nan")}):
        with pytest.raises(ValidationError, match=next(iter(change))):
            Evidence.model_validate({**EVIDENCE.model_dump(), **change})


def test_a_report_survives_json() -> None:
    rung = RungRecord(step=200, host_loss=1.0, host_metric=0.6, standings=(STANDING,))
    layer = LayerRecord(name="body.0", kind="Linear", detail="40 to 100", parameters=4100)
    report = GrowthReport(
        steps=400,
        total_steps=400,
        curve=(CurvePoint(step=100, train_loss=None, growth_loss=1.0, growth_metric=0.6),),
        races=(
            RaceRecord(index=0, start=100, end=300, entrants=(STANDING,), rungs=(rung,), flops=1e9),
        ),
        decisions=(
            GrowthDecision(
                step=300, verdict="graft", candidate=STANDING, evidence=EVIDENCE, reason="it won"
            ),
        ),
        cost=CostAccount(host=1e9, shadow=1e9, evaluation=1e8, static=1e9),
        parameters_before=4100,
        parameters_after=1200,
        before=(layer,),
        after=(layer.model_copy(update={"kind": "conv1d/small", "grown": True}),),
        summary="A small convolution took over body.0.",
    )
    assert GrowthReport.model_validate_json(report.model_dump_json()) == report
