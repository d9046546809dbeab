"""Run folders in the documented format, made by hand with the contract classes."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path

from esper.contracts.enums import KernelMode
from esper.contracts.events import (
    Event,
    GraftEvaluated,
    GraftStarted,
    LearningRateRewarmed,
    RaceDecided,
    RaceStarted,
    RungFinished,
    SeedFossilized,
    SeedGerminated,
)
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

FIELD = (
    ("conv1d_stack", "m", "0", 0.71, 21_500),
    ("conv1d_stack", "s", "0", 0.66, 9_300),
    ("separable1d", "m", "0", 0.58, 6_100),
    ("wavelet", "m", "0", 0.31, 8_000),
    ("wide_mlp", "m", "0", 0.04, 24_300),
    ("control", "", "0", 0.02, 4_100),
    ("low_rank", "s", "0", -0.06, 1_220),
    ("swiglu", "m", "2", 0.05, 30_100),
    ("bottleneck", "s", "2", 0.01, 2_500),
    ("control", "", "2", 0.01, 10_100),
    ("two_experts", "s", "2", -0.02, 20_300),
    ("fourier", "m", "0", None, 9_900),
)
HOST_LAYERS = (
    LayerRecord(name="0", kind="Linear", detail="40 → 100", parameters=4_100),
    LayerRecord(name="1", kind="ReLU", detail="", parameters=0),
    LayerRecord(name="2", kind="Linear", detail="100 → 100", parameters=10_100),
    LayerRecord(name="3", kind="ReLU", detail="", parameters=0),
    LayerRecord(name="4", kind="Linear", detail="100 → 10", parameters=1_010),
)
KERNEL = LayerRecord(
    name="0",
    kind="conv1d_stack/m",
    detail="reshape (1, 40), conv1d 1→24 k5 s2, batch norm, relu, conv1d 24→24 k3 s2, batch norm, "
    "relu, conv1d 24→48 k3 s2, batch norm, relu, mean and max over the length, linear 96→100",
    parameters=21_500,
    grown=True,
)


def evidence(gain: float, width: float, *, samples: int = 400) -> Evidence:
    return Evidence(
        gain=gain,
        ci_low=gain - width,
        ci_high=gain + width,
        confidence=0.95,
        loss_without=1.2,
        loss_with=1.2 * (1 - gain),
        temperature_without=3.1,
        temperature_with=1.2,
        metric_without=0.641,
        metric_with=0.902,
        samples=samples,
    )


def standing(index: int, share: float, *, survived: bool = True) -> CandidateStanding:
    family, size, layer, gain, parameters = FIELD[index]
    now = None if gain is None else gain * share
    return CandidateStanding(
        candidate=f"{family}/{size}/replacing" if size else family,
        layer_name=layer,
        family=family,
        size=size,
        mode=KernelMode.REPLACING,
        parameters=parameters,
        flops=2 * parameters,
        loss=None if now is None else 1.2 * (1 - now),
        gain=now,
        ci_low=None if now is None else now - 0.03,
        ci_high=None if now is None else now + 0.03,
        rent=0.01,
        net_gain=None if now is None else now - 0.01,
        survived=survived,
    )


def race() -> RaceRecord:
    def net(one: CandidateStanding) -> float:
        return -math.inf if one.net_gain is None else one.net_gain

    rungs = []
    for step, share, alive, keep in (
        (900, 0.55, range(12), {0, 1, 2, 3, 5, 7, 9}),
        (1_200, 0.8, (0, 1, 2, 3, 5, 7, 9), {0, 1, 5}),
        (1_600, 1.0, (0, 1, 5), {0, 5}),
    ):
        # An early mark favours the small: the order changes on the way.
        shift = {1: 0.14, 2: 0.1} if step == 900 else {}
        places = [standing(i, share + shift.get(i, 0.0), survived=i in keep) for i in alive]
        places.sort(key=net, reverse=True)
        rungs.append(
            RungRecord(step=step, host_loss=1.2, host_metric=0.641, standings=tuple(places))
        )
    return RaceRecord(
        index=0,
        start=600,
        end=1_600,
        entrants=tuple(standing(i, 0.0) for i in range(12)),
        rungs=tuple(rungs),
        flops=3.1e10,
    )


def curve(*, grown: bool) -> tuple[CurvePoint, ...]:
    noise = random.Random(7)
    points = []
    for step in range(0, 4_001, 100):
        after = max(0.0, min(1.0, (step - 1_600) / 900)) if grown else 0.0
        metric = 0.1 + 0.54 * (1 - math.exp(-step / 250)) + 0.28 * after
        growth = 2.3 * math.exp(-step / 300) + 1.2 * (1 - math.exp(-step / 300)) - 0.87 * after
        train = 2.3 * math.exp(-step / 500) + 0.01 + (0.35 * after * (1 - after) * 2)
        points.append(
            CurvePoint(
                step=step,
                train_loss=train if step else None,
                growth_loss=growth + noise.gauss(0, 0.01),
                growth_metric=metric + noise.gauss(0, 0.004),
            )
        )
    return tuple(points)


def grown_report() -> GrowthReport:
    winner = standing(0, 1.0)
    chosen = GrowthDecision(
        step=1_600,
        verdict="graft",
        candidate=winner,
        evidence=evidence(0.71, 0.03),
        against_control=evidence(0.70, 0.03),
        rent=0.012,
        reason="conv1d_stack/m in 0 lowers the held-out loss by 71.0% (at least 68.0%) and beats "
        "a fresh copy of it by 70.0%",
    )
    kept = GrowthDecision(
        step=2_100,
        verdict="fossilise",
        candidate=winner,
        evidence=evidence(0.735, 0.025),
        rent=0.012,
        reason="the gain held after the blend",
    )
    declined = GrowthDecision(
        step=3_000,
        verdict="decline",
        candidate=standing(7, 1.0).model_copy(update={"gain": 0.008}),
        evidence=evidence(0.008, 0.02),
        against_control=evidence(-0.002, 0.018),
        rent=0.02,
        reason="swiglu/m in 2 lowers the held-out loss by 0.8%, which is not clearly more than "
        "the 2.0% it has to pay",
    )
    return GrowthReport(
        steps=4_000,
        total_steps=4_000,
        curve=curve(grown=True),
        races=(race(),),
        decisions=(chosen, kept, declined),
        cost=CostAccount(host=7.4e10, shadow=3.1e10, evaluation=0.6e10, static=3.3e10),
        parameters_before=15_210,
        parameters_after=32_610,
        before=HOST_LAYERS,
        after=(KERNEL, *HOST_LAYERS[1:]),
        summary="conv1d_stack/m took over layer 0.",
    )


def static_report() -> GrowthReport:
    decision = grown_report().decisions[2].model_copy(update={"step": 1_200})
    one = race()
    short = one.model_copy(update={"rungs": one.rungs[:1], "end": 900})
    return grown_report().model_copy(
        update={
            "races": (short,),
            "decisions": (decision,),
            "after": HOST_LAYERS,
            "parameters_after": 15_210,
            "curve": curve(grown=False),
            "cost": CostAccount(host=3.3e10, shadow=0.7e10, evaluation=0.1e10, static=3.3e10),
        }
    )


def events() -> list[Event]:
    one, winner = race(), standing(0, 1.0)
    marks: list[Event] = [
        RungFinished(step=rung.step, rung=index, standings=rung.standings)
        for index, rung in enumerate(one.rungs)
    ]
    return [
        RaceStarted(
            step=600, layers=("0", "2"), candidates=one.entrants, window_steps=1_000, rungs=3
        ),
        *marks,
        RaceDecided(step=1_600, winner=winner, standings=one.rungs[-1].standings, reason="best"),
        SeedGerminated(
            step=1_600,
            layer_name="0",
            blueprint="conv1d_stack/m",
            mode=KernelMode.REPLACING,
            parameters=21_500,
        ),
        GraftStarted(
            step=1_600,
            layer_name="0",
            blueprint="conv1d_stack/m",
            mode=KernelMode.REPLACING,
            duration_steps=400,
            schedule="cosine",
        ),
        LearningRateRewarmed(step=1_600, layer_name="0", peak=5e-3, warmup_steps=200),
        GraftEvaluated(
            step=2_100, layer_name="0", gain=0.735, ci_low=0.71, ci_high=0.76, kept=True
        ),
        SeedFossilized(
            step=2_100,
            layer_name="0",
            blueprint="conv1d_stack/m",
            host_dropped=True,
            parameters=32_610,
        ),
    ]


def write_run(folder: Path, report: GrowthReport, *, with_events: bool = True) -> Path:
    """Write a run folder as the trainer does, without a model in it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(report.model_dump_json(indent=2), encoding="utf-8")
    grown = report.parameters_after != report.parameters_before
    result = {
        "status": "finished",
        "name": "mnist1d mlp",
        "steps": report.steps,
        "total_steps": report.total_steps,
        "metric": "accuracy",
        "higher_is_better": True,
        "percent": True,
        "test_metric": 0.913 if grown else 0.648,
        "parameters_before": report.parameters_before,
        "parameters_after": report.parameters_after,
        "seconds": 71.4,
        "summary": report.summary,
    }
    start = {
        "type": "start",
        "step": 0,
        "name": "mnist1d mlp",
        "config": {"seed": 0},
        "environment": {"python": "3.11", "torch": "2.13.0", "device": "cpu", "threads": 2},
        "total_steps": report.total_steps,
        "batch_size": 100,
        "learning_rate": 0.005,
        "data": "10 classes of signals of length 40",
        "source": "generated by the mnist1d package",
        "metric": "accuracy",
        "split": {"train": 3_600, "growth": 400, "test": 1_000},
        "host": {
            "parameters": report.parameters_before,
            "layers": [layer.model_dump(mode="json") for layer in report.before],
            "slots": {"0": 2, "2": 1},
        },
    }
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")
    noise = random.Random(3)
    lines: list[dict[str, object]] = [start]
    for point in report.curve[1:]:
        assert point.train_loss is not None
        value = point.train_loss * math.exp(noise.gauss(0, 0.12))
        lines.append({"type": "step", "step": point.step, "train_loss": value, "lr": 1e-3})
        lines.append({"type": "eval", **point.model_dump(mode="json")})
    if with_events:
        lines += [{"type": "event", **event.model_dump(mode="json")} for event in events()]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "run.jsonl").write_text(text, encoding="utf-8")
    return folder
