"""The watch shows lines to every rule, and a run's end ends its alerts."""

from __future__ import annotations

from esper.contracts.enums import AlertRule
from esper.contracts.records import parse_record
from esper.contracts.runs import StoredLine
from esper.services.nissa.alerts.alert_config import AlertConfig
from esper.services.nissa.alerts.watch import PlatformWatch, RunWatch
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
    watch = RunWatch("run-1", AlertConfig())
    broken = step(50, None)
    (alert,) = watch.follow(_stored(broken, 10), broken)
    assert (alert.rule, alert.step, alert.run_id) == (AlertRule.NOT_FINITE, 50, "run-1")
    end = parse_record({"type": "end", "step": 60, "result": {}})
    (ended,) = watch.follow(_stored(end, 20), end)
    assert ended.alert_id == alert.alert_id
    assert ended.ended_at == moment(20)
    assert list(watch.open) == []


def test_a_lost_component_is_told_of_once_and_after_a_restart_its_return_ends_it() -> None:
    watch = PlatformWatch(AlertConfig())
    assert watch.heard(component(), moment(0)) == []
    (lost,) = watch.tick(moment(60))
    assert lost.rule is AlertRule.WORKER_LOST
    assert watch.tick(moment(61)) == []
    again = PlatformWatch(AlertConfig())
    again.recall([lost])
    (ended,) = again.heard(component(), moment(70))
    assert ended.alert_id == lost.alert_id
    assert ended.ended_at == moment(70)
