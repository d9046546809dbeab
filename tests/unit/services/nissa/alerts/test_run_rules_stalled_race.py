"""Races that are open long after they should have been decided."""

from __future__ import annotations

from esper.services.nissa.alerts.alert_config import AlertConfig
from esper.services.nissa.alerts.run_rules import StalledRace
from support.alert_lines import event, findings, moment, race_decided, race_started, step


def test_a_race_twice_as_long_as_planned_is_found_and_over_when_it_is_decided() -> None:
    lines = [race_started(60, race=1), step(150, 1.0), step(250, 1.0), step(260, 1.0)]
    said = findings(StalledRace(AlertConfig()), [*lines, race_decided(270, race=1)])
    assert said[:3] == [{}, {}, {}]
    found = said[3]["race 2"]
    assert found is not None
    assert "was to last 90 steps" in found
    assert said[4] == {"race 2": None}


def test_a_race_is_not_reported_while_its_decision_may_be_on_its_way() -> None:
    rule = StalledRace(AlertConfig())
    rule.observe(race_started(60), moment(0))
    assert rule.observe(step(900, 1.0), moment(1)) == {}
    assert rule.observe(step(901, 1.0), moment(30.9)) == {}
    assert rule.observe(step(902, 1.0), moment(31))["race 1"] is not None


def test_a_race_that_is_extended_is_not_stalled_as_long_as_it_comes_to_marks() -> None:
    mark = {"race": 0, "rung": 3, "standings": []}
    lines = [race_started(60), event("RungFinished", 200, **mark), step(260, 1.0), step(300, 1.0)]
    said = findings(StalledRace(AlertConfig()), lines)
    assert said[1:] == [{"race 1": None}, {}, {}]


def test_a_race_that_a_rollback_undid_is_not_waited_for() -> None:
    undone = event("RolledBack", 100, to_step=60, reason="the loss is not finite")
    said = findings(StalledRace(AlertConfig()), [race_started(60), undone, step(900, 1.0)])
    assert said[-1] == {}
