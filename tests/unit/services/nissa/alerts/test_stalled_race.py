"""Races that are open long after they should have been decided."""

from __future__ import annotations

from esper.services.nissa.alerts.alert_config import AlertConfig
from esper.services.nissa.alerts.stalled_race import StalledRace
from support.alert_lines import event, findings, race_decided, race_started, step


def test_a_race_twice_as_long_as_planned_is_found_and_over_when_it_is_decided() -> None:
    lines = [race_started(60, race=1), step(150, 1.0), step(250, 1.0), race_decided(260, race=1)]
    said = findings(StalledRace(AlertConfig()), lines)
    assert said[:2] == [{}, {}]
    found = said[2]["race 2"]
    assert found is not None
    assert "was to last 90 steps" in found.message
    assert said[3] == {"race 2": None}


def test_a_race_that_a_rollback_undid_is_not_waited_for() -> None:
    undone = event("RolledBack", 100, to_step=60, reason="the loss is not finite")
    said = findings(StalledRace(AlertConfig()), [race_started(60), undone, step(900, 1.0)])
    assert said[-1] == {}
