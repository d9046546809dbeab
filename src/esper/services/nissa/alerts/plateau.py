"""Plateau: the growth loss has not fallen for long, and nothing grows."""

from __future__ import annotations

from datetime import datetime

from esper.contracts.enums import AlertRule, Severity
from esper.contracts.events import (
    AnyEvent,
    GraftStarted,
    RaceDecided,
    RaceStarted,
    SeedCulled,
    SeedFossilized,
)
from esper.contracts.records import AnyRecord, Evaluated
from esper.services.nissa.alerts.alert_config import AlertConfig
from esper.services.nissa.alerts.finding import NOTHING, Finding, Findings, RunRule


class Plateau(RunRule):
    """Counts evaluations since the growth loss last fell; growth begins the count anew."""

    rule = AlertRule.PLATEAU

    def __init__(self, config: AlertConfig) -> None:
        self._config = config
        self._best: float | None = None
        self._best_step = 0
        self._waited = 0
        self._growing: set[object] = set()

    def observe(self, record: AnyRecord | AnyEvent, at: datetime) -> Findings:
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
        return {"": Finding(severity=Severity.WARNING, message=message)}
