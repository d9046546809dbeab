"""A short run's log, line by line, for whoever reads logs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from esper.contracts.enums import KernelMode
from esper.contracts.events import HealthMeasured, SeedFossilized, VerdictReached
from esper.contracts.growth import CandidateStanding, Evidence, GrowthDecision
from esper.contracts.operational import HealthSignal

Line = dict[str, Any]

START: Line = {
    "type": "start",
    "step": 0,
    "name": "mnist1d mlp",
    "config": {"seed": 3, "grow": True, "optimizer": {"lr": 0.01, "betas": [0.9, 0.999]}},
    "environment": {"device": "cpu"},
    "total_steps": 30,
    "batch_size": 8,
    "learning_rate": 0.01,
    "data": "MNIST-1D",
    "source": "generated",
    "metric": "accuracy",
    "split": {"train": 80, "growth": 10, "test": 10},
    "host": {"parameters": 100, "training_flops": 1000.0},
}
END: Line = {
    "type": "end",
    "step": 30,
    "result": {"test_loss": 0.4, "test_metric": 0.9, "parameters_after": 120, "compute": 2.5},
}


def begun(folder: Path, run_id: str) -> Path:
    """The folder of a run that has an identity and has not logged anything yet."""
    folder.mkdir(exist_ok=True)
    (folder / "identity.json").write_text(json.dumps({"run_id": run_id, "attempts": 0}))
    return folder


def step(number: int, loss: float | None) -> Line:
    alpha = {"net.0#0": 0.5} if number > 10 else {}
    return {"type": "step", "step": number, "train_loss": loss, "lr": 0.01, "alpha": alpha}


def verdict() -> Line:
    evidence = Evidence(
        gain=0.3,
        ci_low=0.2,
        ci_high=0.4,
        confidence=0.95,
        loss_without=1.0,
        loss_with=0.7,
        temperature_without=1.0,
        temperature_with=1.0,
        samples=100,
    )
    who = CandidateStanding(
        candidate="wide_mlp/m", layer_name="net.0", family="wide_mlp", mode=KernelMode.REPLACING
    )
    decision = GrowthDecision(
        step=20, verdict="fossilise", candidate=who, evidence=evidence, reason="the gain held"
    )
    event = VerdictReached(step=20, decision=decision)
    return {"type": "event", **event.model_dump(mode="json")}


def fossil() -> Line:
    event = SeedFossilized(step=20, layer_name="net.0", host_dropped=True, parameters=120)
    return {"type": "event", **event.model_dump(mode="json")}


def health() -> Line:
    signal = HealthSignal(layer_id=0, layer_name="net.0", step=10, dead_neuron_ratio=0.25)
    return {"type": "event", **HealthMeasured(step=10, signals=(signal,)).model_dump(mode="json")}


def lines() -> list[Line]:
    """All of it, in order."""
    evaluated = {
        "type": "eval",
        "step": 10,
        "train_loss": 1.0,
        "growth_loss": 0.75,
        "growth_metric": 0.6,
        "cost": {"host": 300.0, "shadow": 100.0, "evaluation": 100.0, "static": 250.0},
    }
    return [
        START,
        health(),
        step(10, 1.0),
        evaluated,
        step(20, 0.5),
        verdict(),
        fossil(),
        step(30, None),
        END,
    ]
