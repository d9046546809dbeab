"""Stalled race: a race is open long after it should have been decided."""

from __future__ import annotations

from datetime import datetime

from esper.contracts.enums import AlertRule, Severity
from esper.contracts.events import AnyEvent, RaceDecided, RaceStarted, RolledBack, RungFinished
from esper.contracts.records import AnyRecord
from esper.services.nissa.alerts.alert_config import AlertConfig
from esper.services.nissa.alerts.finding import NOTHING, Finding, Findings, RunRule


class StalledRace(RunRule):
    """Compares the steps since a race's last mark with its planned length.

    A race that is extended goes on to further marks. Its decision travels on another topic than the
    steps do, and may be told later: only a race that stays behind for a while is reported.
    """

    rule = AlertRule.STALLED_RACE

    def __init__(self, config: AlertConfig) -> None:
        self._config = config
        self._open: RaceStarted | None = None
        self._mark = 0
        """Step of its last mark."""
        self._behind: datetime | None = None
        """Since when it has been behind."""

    def observe(self, record: AnyRecord | AnyEvent, at: datetime) -> Findings:
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
        return {_title(race): Finding(severity=Severity.WARNING, message=message)}


def _title(race: RaceStarted) -> str:
    return f"race {race.race + 1}"
