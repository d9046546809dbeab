"""RunMetrics: gauges of the runs under way, and counters of what happens in all of them."""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

from esper.contracts.enums import AdaptationOutcome, RunState
from esper.contracts.events import (
    AnyEvent,
    CommandCarriedOut,
    CommandRefused,
    RaceDecided,
    RolledBack,
    SeedCulled,
    SeedFossilized,
    SeedIsolated,
)
from esper.contracts.records import (
    AnyRecord,
    Evaluated,
    Record,
    RunEnded,
    RunFailed,
    RunInterrupted,
    RunStarted,
    StepLogged,
)

MOST_RUNS: Final = 100
"""Runs that have gauges; of more, those that were silent for longest lose theirs."""

_GAUGES: Final = {
    "step": "Newest training step.",
    "planned_steps": "Training steps planned.",
    "train_loss": "Newest train loss.",
    "growth_loss": "Newest loss on the growth split.",
    "growth_metric": "Newest metric on the growth split.",
    "learning_rate": "Learning rate.",
    "step_seconds": "Mean time of a training step.",
    "live_seeds": "Seeds that are being blended in or trained in place.",
    "parameters": "Trainable scalars of the model.",
    "compute_ratio": "Compute so far, over that of the static model's whole training.",
}


class RunMetrics:
    """Shows where each run is (`show`), and counts what happened (`count`)."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Start every counter at zero, with no run."""
        self._gauges = {
            name: Gauge(f"esper_run_{name}", text, ("run",), registry=registry)
            for name, text in _GAUGES.items()
        }
        self._live: OrderedDict[str, set[str]] = OrderedDict()
        self._live_runs = Gauge("esper_runs_live", "Runs under way.", registry=registry)
        self._lines = Counter("esper_lines", "Lines taken in.", ("kind",), registry=registry)
        self._ended = Counter("esper_runs_ended", "Runs that ended.", ("state",), registry=registry)
        self._races = Counter(
            "esper_races_decided", "Races that ended.", ("outcome",), registry=registry
        )
        self._adaptations = Counter(
            "esper_adaptations", "Kernels that stayed or went.", ("outcome",), registry=registry
        )
        self._rollbacks = Counter(
            "esper_rollbacks", "Rollbacks to the last good state.", registry=registry
        )
        self._isolated = Counter(
            "esper_seeds_isolated", "Kernels that failed too often.", registry=registry
        )
        self._commands = Counter(
            "esper_commands", "Commands to trainers.", ("outcome",), registry=registry
        )

    def show(self, run_id: str, record: AnyRecord | AnyEvent) -> None:
        """Set the gauges of a run from one of its lines; its end takes them away."""
        if isinstance(record, RunEnded | RunInterrupted | RunFailed):
            self._forget(run_id)
            return
        self._touch(run_id)
        self._set(run_id, "step", record.step)
        if isinstance(record, RunStarted):
            self._set(run_id, "planned_steps", record.total_steps)
            self._set(run_id, "parameters", record.host.parameters)
        elif isinstance(record, StepLogged):
            self._set(run_id, "train_loss", _number(record.train_loss))
            self._set(run_id, "learning_rate", record.lr)
            self._set(run_id, "live_seeds", len(record.alpha))
            if record.step_seconds is not None:
                self._set(run_id, "step_seconds", record.step_seconds)
        elif isinstance(record, Evaluated):
            self._set(run_id, "growth_loss", _number(record.growth_loss))
            self._set(run_id, "growth_metric", _number(record.growth_metric))
            if record.cost is not None:
                self._set(run_id, "compute_ratio", record.cost.multiple)
        elif isinstance(record, SeedFossilized):
            self._set(run_id, "parameters", record.parameters)

    def count(self, record: AnyRecord | AnyEvent) -> None:
        """Count one line that nobody has counted yet."""
        self._lines.labels(_kind(record)).inc()
        if isinstance(record, RaceDecided):
            self._races.labels("no_winner" if record.winner is None else "winner").inc()
        elif isinstance(record, SeedFossilized):
            self._adaptations.labels(AdaptationOutcome.FOSSILIZED.value).inc()
        elif isinstance(record, SeedCulled):
            outcome = AdaptationOutcome.CULLED if record.report is None else record.report.outcome
            self._adaptations.labels(outcome.value).inc()
        elif isinstance(record, RolledBack):
            self._rollbacks.inc()
        elif isinstance(record, SeedIsolated):
            self._isolated.inc()
        elif isinstance(record, CommandCarriedOut):
            self._commands.labels("carried_out").inc()
        elif isinstance(record, CommandRefused):
            self._commands.labels("refused").inc()
        elif isinstance(record, RunEnded | RunInterrupted | RunFailed):
            self._ended.labels(_state(record).value).inc()

    def _set(self, run_id: str, name: str, value: float) -> None:
        self._live[run_id].add(name)
        self._gauges[name].labels(run_id).set(value)

    def _touch(self, run_id: str) -> None:
        self._live.setdefault(run_id, set())
        self._live.move_to_end(run_id)
        while len(self._live) > MOST_RUNS:
            self._forget(next(iter(self._live)))
        self._live_runs.set(len(self._live))

    def _forget(self, run_id: str) -> None:
        for name in self._live.pop(run_id, ()):
            self._gauges[name].remove(run_id)
        self._live_runs.set(len(self._live))


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _kind(record: AnyRecord | AnyEvent) -> str:
    # Bounded by the contracts: a line of a kind that they do not have does not get here.
    return record.type if isinstance(record, Record) else record.kind


def _state(record: RunEnded | RunInterrupted | RunFailed) -> RunState:
    if isinstance(record, RunInterrupted):
        return RunState.INTERRUPTED
    if isinstance(record, RunFailed):
        return RunState.FAILED
    early = record.result.get("status") == "stopped early"
    return RunState.STOPPED_EARLY if early else RunState.FINISHED
