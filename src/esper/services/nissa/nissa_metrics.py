"""ObserverMetrics: what Nissa counts, under names of its own at `/metrics`.

Labels are bounded: `run` names runs that are under way, at most 100, and goes when the run ends;
of a group of the bus only its family is named (`tolaria` for `tolaria.<run id>`). No layer is ever
a label; curves by layer are in the run store.

| metric | labels | what it is |
|---|---|---|
| `esper_lines_total` | `kind` | lines of run logs that the store took in |
| `esper_runs_live` | | runs under way that were heard of |
| `esper_runs_ended_total` | `state` | runs that ended, by how |
| `esper_run_step` | `run` | newest training step |
| `esper_run_planned_steps` | `run` | training steps planned |
| `esper_run_train_loss` | `run` | newest train loss; NaN where it was not finite |
| `esper_run_growth_loss` | `run` | newest loss on the growth split; NaN where it was not finite |
| `esper_run_growth_metric` | `run` | newest metric on the growth split |
| `esper_run_learning_rate` | `run` | learning rate |
| `esper_run_step_seconds` | `run` | mean time of a training step |
| `esper_run_live_seeds` | `run` | seeds that are being blended in or trained in place |
| `esper_run_parameters` | `run` | trainable scalars of the model |
| `esper_run_compute_ratio` | `run` | compute so far, over that of the static model's whole training |
| `esper_races_decided_total` | `outcome` | races, by `winner` or `no_winner` |
| `esper_adaptations_total` | `outcome` | kernels that became permanent or were removed |
| `esper_rollbacks_total` | | rollbacks to the last good state |
| `esper_seeds_isolated_total` | | kernels that failed too often and are bypassed |
| `esper_commands_total` | `outcome` | commands to trainers, by `carried_out` or `refused` |
| `esper_builds_total` | `outcome` | builds of the forge, by `built` or `failed` |
| `esper_build_seconds` | | time of a build |
| `esper_alerts_open` | `rule` | alerts that last |
| `esper_alerts_raised_total` | `rule` | alerts that were raised |
| `esper_components` | `component`, `state` | processes by state: a `ComponentStatus`, or `lost` |
| `esper_bus_up` | | 1 where Nissa reaches the bus, 0 where it does not or has none |
| `esper_bus_waiting_messages` | `topic`, `group` | messages that a group was not given yet |
| `esper_bus_pending_messages` | `topic`, `group` | messages given and not acknowledged |
| `esper_bus_oldest_message_seconds` | `topic`, `group` | age of the oldest of both |
| `esper_messages_dropped_total` | `component` | messages that components could not send |
| `esper_kernel_cache_loads_total` | `component`, `outcome` | loads of kernel caches: `hit`, `miss` |
| `esper_observer_messages_total` | `topic` | messages that Nissa handled |
| `esper_observer_batch_seconds` | | time to handle a batch of messages |
| `esper_observer_delay_seconds` | | time from a message's sending to the end of its handling |
| `esper_observer_failures_total` | `part` | failures that cost no message, by part of Nissa |
"""

from __future__ import annotations

import math
from collections import Counter as Count
from collections import OrderedDict, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from esper.contracts.enums import AdaptationOutcome, AlertRule, RunState, TopicNames
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
from esper.contracts.platform_events import Alert, BuildFinished, ComponentHealth
from esper.contracts.ports import GroupLag
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
from esper.services.nissa.details import dropped, kernel_cache

_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_BUILD_BUCKETS: Final = (0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
_BUS: Final = {
    "waiting": ("esper_bus_waiting_messages", "Messages that a group was not given yet."),
    "pending": ("esper_bus_pending_messages", "Messages given and not acknowledged."),
    "oldest": ("esper_bus_oldest_message_seconds", "Age of the oldest of both."),
}


class ObserverMetrics:
    """Everything that Nissa counts, in a registry of its own; `runs` has what comes from lines."""

    def __init__(self) -> None:
        """Start every counter at zero."""
        self.registry = CollectorRegistry()
        self.bus: Literal["none", "up", "away"] = "none"
        """Whether Nissa is on a bus, and reaches it."""
        self._bus_up = self._gauge("esper_bus_up", "Whether Nissa reaches the bus.")
        self.runs = RunMetrics(self.registry)
        self.alerts_open = self._gauge("esper_alerts_open", "Alerts that last.", "rule")
        self._alerts = self._counter("esper_alerts_raised", "Alerts that were raised.", "rule")
        for rule in AlertRule:
            self.alerts_open.labels(rule.value)
            self._alerts.labels(rule.value)
        self._components = self._gauge(
            "esper_components", "Processes by state.", "component", "state"
        )
        self._bus = {
            key: self._gauge(name, text, "topic", "group") for key, (name, text) in _BUS.items()
        }
        self._builds = self._counter("esper_builds", "Builds of the forge.", "outcome")
        self._build_seconds = self._timer("esper_build_seconds", "A build.", _BUILD_BUCKETS)
        self._dropped = self._counter("esper_messages_dropped", "Messages dropped.", "component")
        self._loads = self._counter(
            "esper_kernel_cache_loads", "Loads of kernel caches.", "component", "outcome"
        )
        self._messages = self._counter(
            "esper_observer_messages", "Messages that Nissa handled.", "topic"
        )
        self._failures = self._counter(
            "esper_observer_failures", "Failures that cost no message.", "part"
        )
        self.batch_seconds = self._timer("esper_observer_batch_seconds", "Handling a batch.")
        self.delay_seconds = self._timer("esper_observer_delay_seconds", "Sent until handled.")
        self._totals: dict[tuple[str, str], Mapping[str, int]] = {}

    def handled(self, topic: TopicNames) -> None:
        """Count one message."""
        self._messages.labels(topic.value).inc()

    def failed(self, part: str) -> None:
        """Count a failure of `part`, one of a few words."""
        self._failures.labels(part).inc()

    def changed(self, alert: Alert) -> None:
        """Count an alert that was raised, or that ended."""
        if alert.ended_at is None:
            self._alerts.labels(alert.rule.value).inc()

    def open_alerts(self, alerts: Sequence[Alert]) -> None:
        """Show how many alerts last."""
        counts = Count(alert.rule for alert in alerts)
        for rule in AlertRule:
            self.alerts_open.labels(rule.value).set(counts[rule])

    def components(self, counts: Mapping[tuple[str, str], int]) -> None:
        """Show how many processes there are, by component and state."""
        self._components.clear()
        for (component, state), count in counts.items():
            self._components.labels(component, state).set(count)

    def lagging(self, lags: Sequence[GroupLag] | None) -> None:
        """Show how far the groups of the bus are behind; None says that the bus is away."""
        self.bus = "away" if lags is None else "up"
        self._bus_up.set(0 if lags is None else 1)
        if lags is None:
            return
        sums: defaultdict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
        for lag in lags:
            figures = sums[lag.topic.value, lag.group.partition(".")[0]]
            figures[0] += lag.waiting
            figures[1] += lag.pending
            figures[2] = max(figures[2], lag.oldest_seconds)
        for number, gauge in enumerate(self._bus.values()):
            gauge.clear()
            for labels, figures in sums.items():
                gauge.labels(*labels).set(figures[number])

    def built(self, build: BuildFinished) -> None:
        """Count a build."""
        self._builds.labels("failed" if build.kernel_id is None else "built").inc()
        self._build_seconds.observe(build.seconds)

    def heard(self, health: ComponentHealth) -> None:
        """Count what a component's own counters gained since it was heard of last."""
        component = health.component.value
        now = _totals(health)
        before = self._totals.get((component, health.instance), {})
        gained = {name: max(value - before.get(name, 0), 0) for name, value in now.items()}
        if "dropped" in gained:
            self._dropped.labels(component).inc(gained["dropped"])
        for outcome in ("hit", "miss"):
            if outcome in gained:
                self._loads.labels(component, outcome).inc(gained[outcome])
        if health.leaving:
            self._totals.pop((component, health.instance), None)
        else:
            self._totals[component, health.instance] = now

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry)

    def _timer(self, name: str, text: str, buckets: Sequence[float] = _BUCKETS) -> Histogram:
        return Histogram(name, text, buckets=buckets, registry=self.registry)


def _totals(health: ComponentHealth) -> dict[str, int]:
    cache = kernel_cache(health)
    found: dict[str, Any] = {"dropped": dropped(health)}
    if cache is not None:
        found |= {"hit": cache.hits, "miss": cache.misses}
    return {name: value for name, value in found.items() if value is not None}


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
