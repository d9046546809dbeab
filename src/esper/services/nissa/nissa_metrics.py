"""ObserverMetrics: what Nissa counts, under names of its own at `/metrics`.

Labels are bounded: `run` names runs that are under way, at most 100, and goes when the run ends;
of a group of the bus only its family is named (`tolaria` for `tolaria.<run id>`). No layer is ever
a label; curves by layer are in the run store.
"""

from __future__ import annotations

import math
from collections import Counter as Count
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from esper.contracts.enums import AdaptationOutcome, AlertRule, TopicNames
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
from esper.contracts.records import AnyRecord, Evaluated, Record, RunStarted, StepLogged
from esper.services.nissa.details import counters
from esper.services.nissa.projection import ENDS, state_of

_OBSERVED: Final = partial(
    Histogram,
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
_BUILT: Final = partial(
    Histogram, buckets=(0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
)

Declared = Mapping[str, tuple[Callable[..., Any], str, str]]
"""Metric -> its kind, its labels, and what it is. All names begin with `esper_`, and those of
counters end in `_total`."""

OF_RUNS: Final[Declared] = {
    "lines": (Counter, "kind", "lines of run logs that the store took in"),
    "runs_live": (Gauge, "", "runs under way that were heard of"),
    "runs_ended": (Counter, "state", "runs that ended, by how"),
    "run_step": (Gauge, "run", "newest training step"),
    "run_planned_steps": (Gauge, "run", "training steps planned"),
    "run_train_loss": (Gauge, "run", "newest train loss; NaN where it was not finite"),
    "run_growth_loss": (Gauge, "run", "newest loss on the growth split; NaN where not finite"),
    "run_growth_metric": (Gauge, "run", "newest metric on the growth split"),
    "run_learning_rate": (Gauge, "run", "learning rate"),
    "run_step_seconds": (Gauge, "run", "mean time of a training step"),
    "run_live_seeds": (Gauge, "run", "seeds that are being blended in or trained in place"),
    "run_parameters": (Gauge, "run", "trainable scalars of the model"),
    "run_compute_ratio": (Gauge, "run", "compute so far, over all of the static model's training"),
    "races_decided": (Counter, "outcome", "races, by `winner` or `no_winner`"),
    "adaptations": (Counter, "outcome", "kernels that became permanent or were removed"),
    "rollbacks": (Counter, "", "rollbacks to the last good state"),
    "seeds_isolated": (Counter, "", "kernels that failed too often and are bypassed"),
    "commands": (Counter, "outcome", "commands to trainers, by `carried_out` or `refused`"),
}
"""What comes from lines."""

OF_PLATFORM: Final[Declared] = {
    "builds": (Counter, "outcome", "builds of the forge, by `built` or `failed`"),
    "build_seconds": (_BUILT, "", "time of a build"),
    "alerts_open": (Gauge, "rule", "alerts that last"),
    "alerts_raised": (Counter, "rule", "alerts that were raised"),
    "components": (Gauge, "component state", "processes: a `ComponentStatus`, or `lost`"),
    "bus_up": (Gauge, "", "1 where Nissa reaches the bus, 0 where it does not or has none"),
    "bus_waiting_messages": (Gauge, "topic group", "messages that a group was not given yet"),
    "bus_pending_messages": (Gauge, "topic group", "messages given and not acknowledged"),
    "bus_oldest_message_seconds": (Gauge, "topic group", "age of the oldest of both"),
    "messages_dropped": (Counter, "component", "messages that components could not send"),
    "kernel_cache_loads": (Counter, "component outcome", "loads of kernel caches: `hit`, `miss`"),
    "observer_messages": (Counter, "topic", "messages that Nissa handled"),
    "observer_batch_seconds": (_OBSERVED, "", "time to handle a batch of messages"),
    "observer_delay_seconds": (_OBSERVED, "", "time from a message's sending to its handling"),
    "observer_failures": (Counter, "part", "failures that cost no message, by part of Nissa"),
}
"""Everything else."""


class _Metrics:
    """What is declared, in a registry."""

    def __init__(self, registry: CollectorRegistry, declared: Declared) -> None:
        self.registry = registry
        self._all = {
            name: kind(f"esper_{name}", what, labels.split(), registry=registry)
            for name, (kind, labels, what) in declared.items()
        }

    def _of(self, name: str, *labels: str) -> Any:
        """Return a metric, of labels if it has some."""
        return self._all[name].labels(*labels) if labels else self._all[name]


class ObserverMetrics(_Metrics):
    """Everything that Nissa counts, in a registry of its own; `runs` has what comes from lines."""

    def __init__(self) -> None:
        """Start every counter at zero."""
        super().__init__(CollectorRegistry(), OF_PLATFORM)
        self.bus: Literal["none", "up", "away"] = "none"
        """Whether Nissa is on a bus, and reaches it."""
        self.runs = RunMetrics(self.registry)
        for rule in AlertRule:
            self._of("alerts_open", rule.value)
            self._of("alerts_raised", rule.value)
        self._totals: dict[tuple[str, str], Mapping[str, int]] = {}

    def handled(self, topic: TopicNames, delay_seconds: float) -> None:
        """Count one message, and the time from its sending to the end of its handling."""
        self._of("observer_messages", topic.value).inc()
        self._of("observer_delay_seconds").observe(delay_seconds)

    def handled_batch(self, seconds: float) -> None:
        """Count the time that a batch of messages took."""
        self._of("observer_batch_seconds").observe(seconds)

    def failed(self, part: str) -> None:
        """Count a failure of `part`, one of a few words."""
        self._of("observer_failures", part).inc()

    def changed(self, alert: Alert) -> None:
        """Count an alert that was raised, or that ended."""
        if alert.ended_at is None:
            self._of("alerts_raised", alert.rule.value).inc()

    def open_alerts(self, alerts: Sequence[Alert]) -> None:
        """Show how many alerts last."""
        counts = Count(alert.rule for alert in alerts)
        for rule in AlertRule:
            self._of("alerts_open", rule.value).set(counts[rule])

    def components(self, counts: Mapping[tuple[str, str], int]) -> None:
        """Show how many processes there are, by component and state."""
        self._of("components").clear()
        for labels, count in counts.items():
            self._of("components", *labels).set(count)

    def lagging(self, lags: Sequence[GroupLag] | None) -> None:
        """Show how far the groups of the bus are behind; None says that the bus is away."""
        self.bus = "away" if lags is None else "up"
        self._of("bus_up").set(0 if lags is None else 1)
        if lags is None:
            return
        groups: defaultdict[tuple[str, str], list[GroupLag]] = defaultdict(list)
        for lag in lags:
            groups[lag.topic.value, lag.group.partition(".")[0]].append(lag)
        for name in ("waiting_messages", "pending_messages", "oldest_message_seconds"):
            self._of(f"bus_{name}").clear()
        for labels, group in groups.items():
            self._of("bus_waiting_messages", *labels).set(sum(lag.waiting for lag in group))
            self._of("bus_pending_messages", *labels).set(sum(lag.pending for lag in group))
            oldest = max(lag.oldest_seconds for lag in group)
            self._of("bus_oldest_message_seconds", *labels).set(oldest)

    def built(self, build: BuildFinished) -> None:
        """Count a build."""
        self._of("builds", "failed" if build.kernel_id is None else "built").inc()
        self._of("build_seconds").observe(build.seconds)

    def heard(self, health: ComponentHealth) -> None:
        """Count what a component's own counters gained since it was heard of last."""
        component, now = health.component.value, counters(health)
        before = self._totals.pop((component, health.instance), {})
        for name, value in now.items():
            gained = max(value - before.get(name, 0), 0)
            if name == "dropped":
                self._of("messages_dropped", component).inc(gained)
            else:
                self._of("kernel_cache_loads", component, name).inc(gained)
        if not health.leaving:
            self._totals[component, health.instance] = now


class RunMetrics(_Metrics):
    """Shows where each run is (`show`), and counts what happened (`count`)."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Start every counter at zero, with no run."""
        super().__init__(registry, OF_RUNS)
        self._live: dict[str, set[str]] = {}
        """The gauges of each run."""

    def show(self, run_id: str, record: AnyRecord | AnyEvent) -> None:
        """Set the gauges of a run from one of its lines."""
        gauges = self._live.setdefault(run_id, set())
        for figure, value in {"step": float(record.step), **_figures(record)}.items():
            gauges.add(name := f"run_{figure}")
            self._of(name, run_id).set(value)
        self._of("runs_live").set(len(self._live))

    def forget(self, run_id: str) -> None:
        """Take the gauges of a run away: it has ended, or nobody hears of it."""
        for name in self._live.pop(run_id, ()):
            self._all[name].remove(run_id)
        self._of("runs_live").set(len(self._live))

    def count(self, record: AnyRecord | AnyEvent) -> None:
        """Count one line that nobody has counted yet."""
        # Bounded by the contracts: a line of a kind that they do not have does not get here.
        kind = record.type if isinstance(record, Record) else record.kind
        self._of("lines", kind).inc()
        if counted := _counted(record):
            self._of(*counted).inc()


def _figures(record: AnyRecord | AnyEvent) -> dict[str, float]:
    """Return what a line says of where its run is, by the ends of the gauges' names."""
    found: dict[str, float] = {}
    match record:
        case RunStarted():
            found = {"planned_steps": record.total_steps, "parameters": record.host.parameters}
        case StepLogged():
            found = {"train_loss": _number(record.train_loss), "learning_rate": record.lr}
            found["live_seeds"] = len(record.alpha)
            if record.step_seconds is not None:
                found["step_seconds"] = record.step_seconds
        case Evaluated():
            found["growth_loss"] = _number(record.growth_loss)
            found["growth_metric"] = _number(record.growth_metric)
            if record.cost is not None:
                found["compute_ratio"] = record.cost.multiple
        case SeedFossilized():
            found["parameters"] = record.parameters
        case _:
            pass
    return found


def _counted(record: AnyRecord | AnyEvent) -> tuple[str, ...]:
    """Return the counter that a line belongs to besides, and its label; nothing where none does."""
    match record:
        case RaceDecided():
            return "races_decided", "no_winner" if record.winner is None else "winner"
        case SeedFossilized():
            return "adaptations", AdaptationOutcome.FOSSILIZED.value
        case SeedCulled():
            outcome = AdaptationOutcome.CULLED if record.report is None else record.report.outcome
            return "adaptations", outcome.value
        case RolledBack():
            return ("rollbacks",)
        case SeedIsolated():
            return ("seeds_isolated",)
        case CommandCarriedOut():
            return "commands", "carried_out"
        case CommandRefused():
            return "commands", "refused"
        case _ if isinstance(record, ENDS):
            state = state_of(record.model_dump(include={"type", "result"}))
            assert state is not None
            return "runs_ended", state.value
        case _:
            return ()


def _number(value: float | None) -> float:
    return math.nan if value is None else value
