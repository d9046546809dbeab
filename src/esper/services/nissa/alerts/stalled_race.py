"""Stalled race: a race is open long after it should have been decided."""

from __future__ import annotations

from esper.contracts.enums import AlertRule, Severity
from esper.contracts.events import AnyEvent, RaceDecided, RaceStarted, RolledBack
from esper.contracts.records import AnyRecord
from esper.services.nissa.alerts.alert_config import AlertConfig
from esper.services.nissa.alerts.finding import NOTHING, Finding, Findings, RunRule


class StalledRace(RunRule):
    """Compares a race's age, in training steps, with its planned length."""

    rule = AlertRule.STALLED_RACE

    def __init__(self, config: AlertConfig) -> None:
        self._factor = config.race_factor
        self._open: RaceStarted | None = None

    def observe(self, record: AnyRecord | AnyEvent) -> Findings:
        """Look at how far the run has come."""
        if isinstance(record, RaceStarted):
            self._open = record
            return NOTHING
        if isinstance(record, RaceDecided | RolledBack):
            ended, self._open = self._open, None
            return {} if ended is None else {_title(ended): None}
        race = self._open
        if race is None or record.step - race.step <= self._factor * max(race.window_steps, 1):
            return NOTHING
        message = (
            f"{_title(race)} began at step {race.step}, was to last {race.window_steps} steps, "
            f"and is not decided at step {record.step}"
        )
        return {_title(race): Finding(severity=Severity.WARNING, message=message)}


def _title(race: RaceStarted) -> str:
    return f"race {race.race + 1}"
