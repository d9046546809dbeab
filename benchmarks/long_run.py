"""The lines of a run of 100,000 steps over 100 slots, made up, for benchmarks of what reads runs."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from esper.contracts.enums import KernelMode
from esper.contracts.events import (
    Event,
    GraftStarted,
    HealthMeasured,
    RaceDecided,
    RaceStarted,
    RungFinished,
    SeedCulled,
    SeedFossilized,
    SeedGerminated,
    VerdictReached,
)
from esper.contracts.growth import CandidateStanding, Evidence, GrowthDecision
from esper.contracts.operational import HealthSignal
from esper.contracts.records import RunLine, RunRecords
from esper.services.nissa.ingest import Batch

STEPS = 100_000
LAYERS = 100
RUN_ID = "10" * 16
HEALTH_EVERY = 400
EVAL_EVERY = 200
RACE_EVERY = 4_000
_FIELD = ("conv1d/medium", "conv1d/small", "glu/small", "wide-mlp/large", "control/host")
_BATCH = 2_000
_BYTES = 100
"""How far apart the made-up lines stand."""

Line = dict[str, Any]


def payloads() -> Iterator[dict[str, Any]]:
    """Yield the run, a few thousand lines at a time."""
    batch: list[RunLine] = []
    for number, line in enumerate(lines()):
        batch.append(RunLine(position=_BYTES * number, body=line))
        if len(batch) == _BATCH:
            yield payload(batch)
            batch = []
    yield payload(batch)


def payload(lines: list[RunLine], run_id: str = RUN_ID) -> dict[str, Any]:
    """Return lines as they come over the bus."""
    records = RunRecords(run_id=run_id, attempt=0, folder="/runs/long", lines=tuple(lines))
    return records.model_dump(mode="json")


def read(payload: dict[str, Any]) -> Batch:
    """Return what the store is given when a payload arrives."""
    return Batch.of(RunRecords.model_validate(payload), datetime.now(UTC), "0" * 32)


def next_step(number: int) -> dict[str, Any]:
    """Return one more step after the run's last, `number` from 1."""
    line = RunLine(position=10**9 + _BYTES * number, body=_step(STEPS + number, 0.05))
    return payload([line])


def lines() -> Iterator[Line]:
    """Yield the log: every step a point, and health, evaluations and races as a real run has."""
    noise = random.Random(0)  # noqa: S311  # made-up figures, the same every time
    yield _start()
    for step in range(1, STEPS + 1):
        loss = 0.05 + 2.0 * math.exp(-step / 20_000) * noise.uniform(0.8, 1.2)
        yield _step(step, loss)
        if step % HEALTH_EVERY == 0:
            yield _event(_health(step, noise))
        if step % EVAL_EVERY == 0:
            metric = 0.98 - 0.6 * math.exp(-step / 25_000)
            shown = {"growth_loss": loss * 1.1, "growth_metric": metric}
            yield {"type": "eval", "step": step, "train_loss": loss, **shown}
        if step % RACE_EVERY == 0:
            for event in _race(step, step // RACE_EVERY - 1, noise):
                yield _event(event)


def _start() -> Line:
    names = [f"blocks.{i // 4}.part{i % 4}" for i in range(LAYERS)]
    layers = [
        {"name": name, "kind": "Linear", "detail": "512 → 512", "parameters": 262_656}
        for name in names
    ]
    return {
        "type": "start",
        "step": 0,
        "name": "made-up transformer",
        "config": {"seed": 0, "grow": True},
        "environment": {},
        "total_steps": STEPS,
        "batch_size": 32,
        "learning_rate": 0.001,
        "data": "made up",
        "source": "made up",
        "metric": "accuracy",
        "split": {"train": 10_000, "growth": 1_000, "test": 1_000},
        "host": {"parameters": 26_265_600, "layers": layers, "slots": dict.fromkeys(names, 1)},
    }


def _step(step: int, loss: float) -> Line:
    return {"type": "step", "step": step, "train_loss": loss, "lr": 0.001, "step_seconds": 0.01}


def _event(event: Event) -> Line:
    return {"type": "event", **event.model_dump(mode="json")}


def _health(step: int, noise: random.Random) -> HealthMeasured:
    signals = [
        HealthSignal(
            layer_id=i,
            layer_name=f"blocks.{i // 4}.part{i % 4}",
            step=step,
            activation_variance=noise.uniform(1, 2),
            dead_neuron_ratio=noise.uniform(0, 0.2),
            health_score=noise.uniform(0.7, 1),
            execution_latency=noise.uniform(50, 60),
            gradient_norm=noise.uniform(0.1, 1),
            effective_rank=noise.uniform(10, 20),
            update_ratio=noise.uniform(0.001, 0.01),
        )
        for i in range(LAYERS)
    ]
    return HealthMeasured(step=step, signals=tuple(signals))


def _race(step: int, race: int, noise: random.Random) -> list[Event]:
    layer = f"blocks.{race}.part{race % 4}"
    field = [_standing(name, layer, noise) for name in _FIELD]
    field.sort(key=lambda one: -(one.net_gain or 0.0))
    winner = field[0]
    rung = RungFinished(step=step, race=race, rung=0, standings=tuple(field))
    entrants = RaceStarted(
        step=step, race=race, layers=(layer,), candidates=tuple(field), window_steps=480, rungs=3
    )
    seed: dict[str, Any] = {"step": step, "layer_name": layer, "blueprint": winner.candidate}
    stays = race % 3 != 2
    ends = {"step": step, "layer_name": layer, "blueprint": winner.candidate}
    end: Event = (
        SeedFossilized(**ends, host_dropped=True, parameters=26_265_600 + 10_000 * race)
        if stays
        else SeedCulled(**ends, reason="the gain did not hold")
    )
    return [
        entrants,
        rung,
        rung.model_copy(update={"rung": 1}),
        rung.model_copy(update={"rung": 2}),
        RaceDecided(step=step, race=race, winner=winner, reason="made up"),
        VerdictReached(step=step, decision=_decision(step, winner, "graft")),
        SeedGerminated(**seed, mode=KernelMode.REPLACING, parameters=10_000),
        GraftStarted(**seed, mode=KernelMode.REPLACING, duration_steps=80, schedule="linear"),
        VerdictReached(
            step=step, decision=_decision(step, winner, "fossilise" if stays else "cull")
        ),
        end,
    ]


def _standing(name: str, layer: str, noise: random.Random) -> CandidateStanding:
    family, _, size = name.partition("/")
    gain = 0.0 if family == "control" else noise.uniform(0.05, 0.4)
    return CandidateStanding(
        candidate=name,
        layer_name=layer,
        family=family,
        size=size,
        mode=KernelMode.REPLACING,
        parameters=10_000,
        gain=gain,
        net_gain=gain,
    )


def _decision(step: int, winner: CandidateStanding, verdict: str) -> GrowthDecision:
    gain = winner.gain or 0.1
    evidence = Evidence(
        gain=gain,
        ci_low=gain - 0.04,
        ci_high=gain + 0.04,
        confidence=0.95,
        loss_without=1.0,
        loss_with=1.0 - gain,
        temperature_without=1.0,
        temperature_with=1.0,
        samples=1_000,
    )
    return GrowthDecision(
        step=step, verdict=verdict, candidate=winner, evidence=evidence, rent=0.01, reason="made up"
    )
