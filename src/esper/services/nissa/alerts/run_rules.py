"""What a run's lines tell: losses, health and races that need a look.

A rule is a class, and a name in the table at the end.
"""

from __future__ import annotations

from collections import Counter, deque
from datetime import datetime
from statistics import median
from typing import Final

from esper.contracts.enums import AlertRule, Severity
from esper.contracts.events import (
    GraftStarted,
    HealthMeasured,
    RaceDecided,
    RaceStarted,
    RolledBack,
    RungFinished,
    SeedCulled,
    SeedFossilized,
)
from esper.contracts.records import Evaluated, LogEntry, StepLogged
from esper.services.nissa.alerts.alert_config import AlertConfig
from esper.services.nissa.alerts.watch import NOTHING, Findings, Rule

_ENOUGH_POINTS = 5
_TO_DEVIATION = 1.4826
"""Of a normal distribution: standard deviation / median absolute deviation."""


class LossSpike(Rule):
    """Compares each point of the training curve with the median of those before it."""

    rule = AlertRule.LOSS_SPIKE

    def __init__(self, config: AlertConfig) -> None:
        super().__init__(config)
        self._recent: deque[float] = deque(maxlen=config.spike_window)

    def observe(self, record: LogEntry, at: datetime) -> Findings:
        """Look at a point of the curve; a spike stays among what later points are compared with."""
        if not isinstance(record, StepLogged) or record.train_loss is None:
            return NOTHING
        loss, before = record.train_loss, list(self._recent)
        self._recent.append(loss)
        if len(before) < _ENOUGH_POINTS:
            return NOTHING
        middle = median(before)
        deviation = _TO_DEVIATION * median(abs(value - middle) for value in before)
        limit = max(
            middle + self._config.spike_deviations * deviation,
            middle + (self._config.spike_factor - 1.0) * abs(middle),
        )
        if loss <= limit:
            return {"": None}
        message = (
            f"the train loss is {loss:.4g} at step {record.step}, after a median of {middle:.4g} "
            f"over the {len(before)} points before"
        )
        return {"": message}


class Plateau(Rule):
    """Counts evaluations since the growth loss last fell; growth begins the count anew."""

    rule = AlertRule.PLATEAU

    def __init__(self, config: AlertConfig) -> None:
        super().__init__(config)
        self._best: float | None = None
        self._best_step = 0
        self._waited = 0
        self._growing: set[object] = set()

    def observe(self, record: LogEntry, at: datetime) -> Findings:
        """Look at an evaluation, or at a beginning or an end of growth."""
        if isinstance(record, Evaluated):
            return self._evaluated(record)
        if isinstance(record, RaceStarted):
            self._growing.add(record.race)
        elif isinstance(record, RaceDecided):
            self._growing.discard(record.race)
        elif isinstance(record, GraftStarted):
            self._growing.add((record.layer_name, record.seed_idx))
        elif isinstance(record, SeedFossilized | SeedCulled):
            self._growing.discard((record.layer_name, record.seed_idx))
        else:
            return NOTHING
        self._waited = 0
        return {"": None}

    def _evaluated(self, record: Evaluated) -> Findings:
        loss = record.growth_loss
        if loss is None or self._growing:
            return NOTHING
        wanted = self._config.plateau_improvement
        if self._best is None or loss < self._best - wanted * abs(self._best):
            self._best, self._best_step, self._waited = loss, record.step, 0
            return {"": None}
        self._waited += 1
        if self._waited < self._config.plateau_evaluations:
            return {"": None} if self._waited == 1 else NOTHING
        message = (
            f"the growth loss has not fallen since step {self._best_step}, where it was "
            f"{self._best:.4g}; it is {loss:.4g} at step {record.step}, and nothing grows"
        )
        return {"": message}


class NotFinite(Rule):
    """Looks whether figures are numbers; the contracts say None, or `finite`, where one is not."""

    rule = AlertRule.NOT_FINITE
    severity = Severity.CRITICAL

    def observe(self, record: LogEntry, at: datetime) -> Findings:
        """Look at a loss, or at every layer's health."""
        finite: dict[str, bool] = {}
        if isinstance(record, StepLogged):
            finite = {"train loss": record.train_loss is not None}
        elif isinstance(record, Evaluated):
            finite = {"growth loss": record.growth_loss is not None}
        elif isinstance(record, HealthMeasured):
            finite = {f"layer {signal.layer_name}": signal.finite for signal in record.signals}
        return {
            subject: None if is_finite else f"{subject}: NaN or infinite at step {record.step}"
            for subject, is_finite in finite.items()
        }


class DeadUnits(Rule):
    """Counts measurements of a layer in a row whose share of units that do not vary is high."""

    rule = AlertRule.DEAD_UNITS

    def __init__(self, config: AlertConfig) -> None:
        super().__init__(config)
        self._in_a_row: Counter[str] = Counter()

    def observe(self, record: LogEntry, at: datetime) -> Findings:
        """Look at every layer's health."""
        found: dict[str, str | None] = {}
        for signal in record.signals if isinstance(record, HealthMeasured) else ():
            name, share = signal.layer_name, signal.dead_neuron_ratio
            if share is None:
                continue
            if share < self._config.dead_share:
                self._in_a_row[name] = 0
                found[name] = None
                continue
            self._in_a_row[name] += 1
            if self._in_a_row[name] >= self._config.dead_measurements:
                found[name] = f"{share:.0%} of the units of layer {name} do not vary any more"
        return found


_ENOUGH_NORMS = 3
_LEAST = 1e-6
"""Below that a norm is as good as none: a layer that begins to learn has not exploded."""


class GradientExplosion(Rule):
    """Compares each layer's gradient norm with the median of those before it."""

    rule = AlertRule.GRADIENT_EXPLOSION
    severity = Severity.CRITICAL

    def __init__(self, config: AlertConfig) -> None:
        super().__init__(config)
        self._recent: dict[str, deque[float]] = {}

    def observe(self, record: LogEntry, at: datetime) -> Findings:
        """Look at every layer's health."""
        found: dict[str, str | None] = {}
        for signal in record.signals if isinstance(record, HealthMeasured) else ():
            name, norm = signal.layer_name, signal.gradient_norm
            if norm is None:
                continue
            recent = self._recent.setdefault(name, deque(maxlen=self._config.gradient_window))
            before = list(recent)
            recent.append(norm)
            if len(before) < _ENOUGH_NORMS:
                continue
            middle = max(median(before), _LEAST)
            if norm <= self._config.gradient_factor * middle:
                found[name] = None
                continue
            found[name] = (
                f"the gradient of layer {name} has the norm {norm:.3g} at step {record.step}, "
                f"{norm / middle:,.0f} times the median of the {len(before)} measurements before"
            )
        return found


class StalledRace(Rule):
    """Compares the steps since a race's last mark with its planned length.

    A race that is extended goes on to further marks. Its decision travels on another topic than the
    steps do, and may be told later: only a race that stays behind for a while is reported.
    """

    rule = AlertRule.STALLED_RACE

    def __init__(self, config: AlertConfig) -> None:
        super().__init__(config)
        self._open: RaceStarted | None = None
        self._mark = 0
        """Step of its last mark."""
        self._behind: datetime | None = None
        """Since when it has been behind."""

    def observe(self, record: LogEntry, at: datetime) -> Findings:
        """Look at how far the run has come."""
        if isinstance(record, RaceStarted):
            self._open, self._mark, self._behind = record, record.step, None
            return NOTHING
        if isinstance(record, RungFinished):
            self._mark, self._behind = record.step, None
            return NOTHING if self._open is None else {_title(self._open): None}
        if isinstance(record, RaceDecided | RolledBack):
            ended, self._open = self._open, None
            return {} if ended is None else {_title(ended): None}
        race = self._open
        if race is None:
            return NOTHING
        if record.step - self._mark <= self._config.race_factor * max(race.window_steps, 1):
            return NOTHING
        self._behind = self._behind or at
        if (at - self._behind).total_seconds() < self._config.race_seconds:
            return NOTHING
        message = (
            f"{_title(race)} began at step {race.step}, was to last {race.window_steps} steps, "
            f"and is not decided at step {record.step}"
        )
        return {_title(race): message}


def _title(race: RaceStarted) -> str:
    return f"race {race.race + 1}"


RUN_RULES: Final = (LossSpike, Plateau, NotFinite, DeadUnits, GradientExplosion, StalledRace)
"""Every rule of a run."""
