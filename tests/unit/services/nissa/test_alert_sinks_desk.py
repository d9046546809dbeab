"""Alerts wait for a store that is away."""

from __future__ import annotations

import pytest

from esper.contracts.enums import AlertRule, Severity
from esper.contracts.errors import RunStoreError
from esper.contracts.platform_events import Alert
from esper.services.nissa.alert_sinks import AlertDesk
from esper.services.nissa.nissa_metrics import ObserverMetrics


class MoodyStore:
    """Keeps alerts, or is away."""

    def __init__(self) -> None:
        self.away = True
        self.alerts: list[Alert] = []

    async def save(self, alert: Alert) -> None:
        if self.away:
            raise RunStoreError("the disk is full")
        self.alerts.append(alert)


def _alert(number: int) -> Alert:
    return Alert(
        alert_id=str(number),
        rule=AlertRule.PLATEAU,
        severity=Severity.WARNING,
        subject="",
        message="flat",
    )


@pytest.mark.asyncio
async def test_alerts_that_could_not_be_stored_are_stored_later_in_their_order() -> None:
    store, sent, metrics = MoodyStore(), list[Alert](), ObserverMetrics()
    desk = AlertDesk(store.save, [sent.append], metrics)
    await desk.pass_on([_alert(1), _alert(2)])
    assert [alert.alert_id for alert in sent] == ["1", "2"], "sinks do not wait"
    assert store.alerts == []
    store.away = False
    await desk.pass_on([])
    assert [alert.alert_id for alert in store.alerts] == ["1", "2"]
    assert metrics.registry.get_sample_value("esper_alerts_raised_total", {"rule": "plateau"}) == 2
