"""The watch shows lines to every rule. An alert is raised once and ended once, and is the same one
when the same lines are looked at again."""

from __future__ import annotations

from esper.contracts.enums import AlertRule
from esper.contracts.platform_events import Alert
from esper.contracts.records import parse_record
from esper.contracts.runs import StoredLine
from esper.services.nissa.alerts.alert_config import AlertConfig
from esper.services.nissa.alerts.platform_rules import PLATFORM_RULES
from esper.services.nissa.alerts.run_rules import RUN_RULES, NotFinite
from esper.services.nissa.alerts.watch import Watch
from support.alert_lines import Parsed, component, moment, step


def _stored(record: Parsed, position: int) -> StoredLine:
    return StoredLine(
        cursor=position,
        position=position,
        attempt=0,
        at=moment(position),
        trace_id="a" * 32,
        body=record.model_dump(mode="json"),
    )


def test_an_alert_of_a_run_has_its_step_and_ends_with_the_run() -> None:
    watch = Watch(RUN_RULES, AlertConfig(), "run-1")
    broken = step(50, None)
    (alert,) = watch.follow(_stored(broken, 10), broken)
    assert (alert.rule, alert.step, alert.run_id) == (AlertRule.NOT_FINITE, 50, "run-1")
    end = parse_record({"type": "end", "step": 60, "result": {}})
    (ended,) = watch.follow(_stored(end, 20), end)
    assert ended.alert_id == alert.alert_id
    assert ended.ended_at == moment(20)
    assert list(watch.open) == []


def test_a_lost_component_is_told_of_once_and_after_a_restart_its_return_ends_it() -> None:
    watch = Watch(PLATFORM_RULES, AlertConfig())
    assert watch.heard(component(), moment(0)) == []
    (lost,) = watch.tick(moment(60))
    assert lost.rule is AlertRule.WORKER_LOST
    assert watch.tick(moment(61)) == []
    again = Watch(PLATFORM_RULES, AlertConfig())
    again.recall([lost])
    (ended,) = again.heard(component(), moment(70))
    assert ended.alert_id == lost.alert_id
    assert ended.ended_at == moment(70)


def _watch(run_id: str = "run-1") -> Watch:
    return Watch([NotFinite], AlertConfig(), run_id)


def _look(watch: Watch, loss: float | None, position: int) -> list[Alert]:
    line = step(position, loss)
    return watch.follow(_stored(line, position), line)


def test_an_alert_is_raised_once_and_ended_once() -> None:
    watch = _watch()
    (raised,) = _look(watch, None, 1)
    assert (raised.run_id, raised.subject, raised.step) == ("run-1", "train loss", 1)
    assert _look(watch, None, 2) == []
    assert list(watch.open) == [raised]
    (ended,) = _look(watch, 1.0, 3)
    assert ended == raised.model_copy(update={"ended_at": moment(3)})
    assert _look(watch, 1.0, 4) == []
    assert list(watch.open) == []


def test_looking_again_raises_the_same_alert_and_another_time_another() -> None:
    first = _look(_watch(), None, 1)
    assert _look(_watch(), None, 1) == first
    (other,) = _look(_watch(), None, 2)
    assert other.alert_id != first[0].alert_id
    (elsewhere,) = _look(_watch("run-2"), None, 1)
    assert elsewhere.alert_id != first[0].alert_id


def test_ending_all_leaves_nothing_open() -> None:
    watch = _watch()
    _look(watch, None, 1)
    (ended,) = watch.end(moment(9))
    assert ended.ended_at == moment(9)
    assert watch.end(moment(10)) == []
