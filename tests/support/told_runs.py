"""A grown run as the lines of its log tell it, cut off wherever a test wants."""

from __future__ import annotations

from typing import Any

from esper.contracts.enums import KernelMode, RunState, Verdict
from esper.contracts.events import (
    Event,
    GraftStarted,
    RaceDecided,
    RaceStarted,
    RungFinished,
    SeedCulled,
    SeedFossilized,
    SeedGerminated,
    VerdictReached,
)
from esper.contracts.records import parse_record
from esper.contracts.runs import RunSummary
from esper.report.run_account import RunAccount
from samples import run_folders

Line = dict[str, Any]
REPORT = run_folders.grown_report()
RACE = REPORT.races[0]
WINNER = RACE.rungs[-1].standings[0]
GRAFT = {"step": 1_600, "layer_name": "0", "blueprint": WINNER.candidate}
STAYS = {"step": 2_100, "layer_name": "0", "blueprint": WINNER.candidate}


def start(**changed: Any) -> Line:
    layers = [layer.model_dump(mode="json") for layer in REPORT.before]
    return {
        "type": "start",
        "step": 0,
        "name": "mnist1d mlp",
        "config": {"seed": 0, "grow": True, "optimizer": {"lr": 0.01}},
        "environment": {},
        "total_steps": 4_000,
        "batch_size": 100,
        "learning_rate": 0.005,
        "data": "signals",
        "source": "generated",
        "metric": "accuracy",
        "split": {"train": 3_600, "growth": 400, "test": 1_000},
        "host": {"parameters": 15_210, "layers": layers, "slots": {"0": 2, "2": 1}},
        **changed,
    }


def event(one: Event) -> Line:
    return {"type": "event", **one.model_dump(mode="json")}


def race_lines() -> list[Line]:
    begun = RaceStarted(
        step=600, layers=("0", "2"), candidates=RACE.entrants, window_steps=1_000, rungs=3
    )
    marks = [
        RungFinished(step=rung.step, rung=number, standings=rung.standings)
        for number, rung in enumerate(RACE.rungs)
    ]
    return [event(begun), *map(event, marks)]


def decided() -> list[Line]:
    won = RaceDecided(step=1_600, winner=WINNER, reason="it beats the control")
    return [event(won), event(VerdictReached(step=1_600, decision=REPORT.decisions[0]))]


def graft_lines() -> list[Line]:
    return [
        event(SeedGerminated(**GRAFT, mode=KernelMode.REPLACING, parameters=21_500)),
        event(
            GraftStarted(**GRAFT, mode=KernelMode.REPLACING, duration_steps=80, schedule="linear")
        ),
    ]


def fossil_lines() -> list[Line]:
    stays = SeedFossilized(**STAYS, host_dropped=True, parameters=32_610)
    return [event(stays), event(VerdictReached(step=2_100, decision=REPORT.decisions[1]))]


def cull_lines() -> list[Line]:
    undone = REPORT.decisions[1].model_copy(update={"verdict": Verdict.CULL, "reason": "it hurt"})
    culled = SeedCulled(**STAYS, reason="it hurt")
    return [event(culled), event(VerdictReached(step=2_100, decision=undone))]


def end_lines() -> list[Line]:
    return [
        {"type": "growth", "step": 4_000, "report": REPORT.model_dump(mode="json")},
        {"type": "end", "step": 4_000, "result": {"test_metric": 0.95, "metric": "accuracy"}},
    ]


def evaluated(step: int, metric: float) -> Line:
    cost = REPORT.cost.model_dump()
    figures = {"train_loss": 0.5, "growth_loss": 0.6, "growth_metric": metric, "cost": cost}
    return {"type": "eval", "step": step, **figures}


def summary(**changed: Any) -> RunSummary:
    moment = "2026-11-21T10:00:00Z"
    known = {
        "run_id": "ab" * 16,
        "name": "mnist1d mlp",
        "state": "running",
        "folder": "/runs/one",
        "attempt": 0,
        "started_at": moment,
        "updated_at": moment,
        "step": 1_650,
        "total_steps": 4_000,
        "seed": 0,
        "metric": "accuracy",
        "parameters_before": 15_210,
        "parameters_after": 15_210,
    }
    return RunSummary.model_validate({**known, **changed})


def account(
    *parts: list[Line], state: RunState = RunState.RUNNING, step: int = 1_650
) -> RunAccount:
    """A run that has logged its start and then these lines."""
    bodies = [start(), *(line for part in parts for line in part)]
    lines = tuple(parse_record(body) for body in bodies)
    return RunAccount(lines=lines, state=state, newest_step=step, folder="/runs/one")


def finished() -> RunAccount:
    """The whole run."""
    parts = (race_lines(), decided(), graft_lines(), fossil_lines(), end_lines())
    return account(*parts, state=RunState.FINISHED, step=4_000)
