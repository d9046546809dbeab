"""Components that have not been heard of for too long."""

from __future__ import annotations

from esper.services.nissa.alerts.alert_config import AlertConfig
from esper.services.nissa.alerts.platform_rules import WorkerLost
from support.alert_lines import component, moment


def test_who_misses_three_intervals_is_lost_and_found_again_when_it_speaks() -> None:
    rule = WorkerLost(AlertConfig())
    assert rule.heard(component(), moment(0)) == {"tezzeret/worker-1": None}
    assert rule.tick(moment(15)) == {}
    found = rule.tick(moment(16))["tezzeret/worker-1"]
    assert found is not None
    assert "said nothing for 16 s" in found
    assert rule.tick(moment(30))["tezzeret/worker-1"] is not None
    assert rule.heard(component(), moment(31)) == {"tezzeret/worker-1": None}


def test_who_is_lost_for_an_hour_is_waited_for_no_longer() -> None:
    rule = WorkerLost(AlertConfig())
    rule.heard(component(), moment(0))
    assert rule.tick(moment(3600))["tezzeret/worker-1"] is not None
    assert rule.tick(moment(3601)) == {"tezzeret/worker-1": None}
    assert rule.tick(moment(3602)) == {}


def test_who_takes_its_leave_is_not_lost() -> None:
    rule = WorkerLost(AlertConfig())
    rule.heard(component(), moment(0))
    rule.heard(component(leaving=True), moment(1))
    assert rule.tick(moment(1000)) == {}
