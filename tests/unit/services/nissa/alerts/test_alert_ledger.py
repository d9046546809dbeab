"""Alerts: raised once, ended once, and the same ones when the same lines are looked at again."""

from __future__ import annotations

from esper.contracts.enums import AlertRule, Severity
from esper.contracts.platform_events import Alert
from esper.services.nissa.alerts.alert_ledger import AlertLedger, Finding
from support.alert_lines import moment

FOUND = Finding(severity=Severity.WARNING, message="too high")
RULE = AlertRule.LOSS_SPIKE


def _take(ledger: AlertLedger, finding: Finding | None, second: float) -> list[Alert]:
    at = moment(second)
    return ledger.take(RULE, {"0": finding}, at=at, origin=str(second), step=int(second))


def test_an_alert_is_raised_once_and_ended_once() -> None:
    ledger = AlertLedger("run-1")
    (raised,) = _take(ledger, FOUND, 1)
    assert (raised.run_id, raised.subject, raised.step) == ("run-1", "0", 1)
    assert _take(ledger, FOUND, 2) == []
    assert list(ledger.open) == [raised]
    (ended,) = _take(ledger, None, 3)
    assert ended == raised.model_copy(update={"ended_at": moment(3)})
    assert _take(ledger, None, 4) == []
    assert list(ledger.open) == []


def test_looking_again_raises_the_same_alert_and_another_time_another() -> None:
    first = _take(AlertLedger("run-1"), FOUND, 1)
    assert _take(AlertLedger("run-1"), FOUND, 1) == first
    (other,) = _take(AlertLedger("run-1"), FOUND, 2)
    assert other.alert_id != first[0].alert_id
    (elsewhere,) = _take(AlertLedger("run-2"), FOUND, 1)
    assert elsewhere.alert_id != first[0].alert_id


def test_alerts_of_before_are_ended_under_their_own_identity() -> None:
    (before,) = _take(AlertLedger(), FOUND, 1)
    (ended,) = _take(AlertLedger(opened=[before]), None, 5)
    assert ended.alert_id == before.alert_id


def test_ending_all_leaves_nothing_open() -> None:
    ledger = AlertLedger("run-1")
    _take(ledger, FOUND, 1)
    (ended,) = ledger.end_all(moment(9))
    assert ended.ended_at == moment(9)
    assert ledger.end_all(moment(10)) == []
