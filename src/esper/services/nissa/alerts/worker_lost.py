"""Worker lost: a service or trainer has not been heard of for too long."""

from __future__ import annotations

from datetime import datetime

from esper.contracts.enums import AlertRule, Severity
from esper.contracts.platform_events import ComponentHealth
from esper.services.nissa.alerts.alert_config import AlertConfig
from esper.services.nissa.alerts.finding import Finding, Findings, PlatformRule
from esper.services.nissa.details import FORGOTTEN_SECONDS


class WorkerLost(PlatformRule):
    """Remembers when each component was heard of, until it takes its leave or is forgotten."""

    rule = AlertRule.WORKER_LOST

    def __init__(self, config: AlertConfig) -> None:
        self._intervals = config.lost_intervals
        self._heard: dict[str, tuple[ComponentHealth, datetime]] = {}

    def heard(self, health: ComponentHealth, at: datetime) -> Findings:
        """Note that a component is there, or that it has gone in order."""
        name = _name(health)
        if health.leaving:
            self._heard.pop(name, None)
        else:
            self._heard[name] = (health, at)
        return {name: None}

    def tick(self, at: datetime) -> Findings:
        """Look who has said nothing for too long, and who for so long that nobody waits for it."""
        found: dict[str, Finding | None] = {}
        for name, (health, last) in list(self._heard.items()):
            silent = (at - last).total_seconds()
            if silent > FORGOTTEN_SECONDS:
                found[name] = None
                del self._heard[name]
            elif silent > self._intervals * health.interval_seconds:
                message = (
                    f"{name} has said nothing for {silent:.0f} s, and should every "
                    f"{health.interval_seconds:g} s"
                )
                found[name] = Finding(severity=Severity.CRITICAL, message=message)
        return found


def _name(health: ComponentHealth) -> str:
    return f"{health.component.value}/{health.instance}"
