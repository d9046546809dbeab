"""Groups of the bus that fall behind, and senders that drop messages."""

from __future__ import annotations

from esper.contracts.enums import TopicNames
from esper.contracts.ports import GroupLag
from esper.services.nissa.alerts.alert_config import AlertConfig
from esper.services.nissa.alerts.platform_rules import BusLag
from support.alert_lines import component, moment


def _lag(seconds: float, group: str = "nissa", idle: float = 0.0) -> GroupLag:
    return GroupLag(
        topic=TopicNames.EVENTS_RACE,
        group=group,
        waiting=1200,
        pending=3,
        oldest_seconds=seconds,
        consumers=1,
        idle_seconds=idle,
    )


def test_a_group_whose_oldest_message_waits_too_long_is_found_and_over_when_it_has_caught_up() -> (
    None
):
    rule = BusLag(AlertConfig())
    assert rule.measured([_lag(0)], moment(0)) == {"nissa on events.race": None}
    assert rule.measured([_lag(59)], moment(59)) == {"nissa on events.race": None}
    found = rule.measured([_lag(75)], moment(75))["nissa on events.race"]
    assert found is not None
    assert "1,200 messages" in found
    assert rule.measured([_lag(0)], moment(80)) == {"nissa on events.race": None}


def test_a_group_that_begins_with_old_messages_is_behind_after_a_while_only() -> None:
    rule = BusLag(AlertConfig())
    assert rule.measured([_lag(9000)], moment(0)) == {}
    assert rule.measured([_lag(9060)], moment(60)) == {}
    found = rule.measured([_lag(9061)], moment(61))["nissa on events.race"]
    assert found is not None


def test_a_lag_is_over_with_its_group() -> None:
    rule = BusLag(AlertConfig())
    rule.measured([_lag(0)], moment(0))
    assert rule.measured([_lag(90)], moment(90))["nissa on events.race"] is not None
    assert rule.measured([], moment(95)) == {"nissa on events.race": None}
    assert rule.measured([], moment(100)) == {}


def test_a_trainer_that_no_longer_reads_is_gone_and_not_behind() -> None:
    rule = BusLag(AlertConfig())
    dead, slow = _lag(300, "tolaria.one", idle=300), _lag(300, "tolaria.two", idle=0.2)
    rule.measured([dead, slow], moment(0))
    found = rule.measured([dead, slow], moment(300))
    assert found["tolaria.one on events.race"] is None
    assert found["tolaria.two on events.race"] is not None


def test_a_sender_that_drops_messages_is_found_as_long_as_it_does() -> None:
    rule = BusLag(AlertConfig())
    assert rule.heard(component(dropped={"telemetry.training": 0}), moment(0)) == {
        "tezzeret/worker-1": None
    }
    (found,) = rule.heard(component(dropped={"telemetry.training": 40}), moment(5)).values()
    assert found is not None
    assert "could not send 40 messages" in found
    (found,) = rule.heard(component(dropped={"telemetry.training": 40}), moment(10)).values()
    assert found is None


def test_a_component_that_does_not_say_is_not_looked_at() -> None:
    assert BusLag(AlertConfig()).heard(component(), moment(0)) == {}
