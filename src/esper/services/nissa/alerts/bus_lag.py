"""Bus lag: a group of the bus falls behind, or messages are dropped before they reach it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from esper.contracts.enums import AlertRule, Severity
from esper.contracts.platform_events import ComponentHealth
from esper.contracts.ports import GroupLag
from esper.contracts.topics import run_of
from esper.services.nissa.alerts.alert_config import AlertConfig
from esper.services.nissa.alerts.finding import NOTHING, Finding, Findings, PlatformRule
from esper.services.nissa.details import dropped


class BusLag(PlatformRule):
    """Looks at the age of what waits for each group, and at what senders had to drop."""

    rule = AlertRule.BUS_LAG

    def __init__(self, config: AlertConfig) -> None:
        self._most_seconds = config.lag_seconds
        self._dropped: dict[str, int] = {}
        self._since: dict[str, datetime] = {}
        """When each group was seen first."""

    def measured(self, lags: Sequence[GroupLag], at: datetime) -> Findings:
        """Look at every group. One that is gone, with its run, has no lag any more."""
        found: dict[str, Finding | None] = dict.fromkeys(self._since)
        before, self._since = self._since, {}
        for lag in lags:
            subject = f"{lag.group} on {lag.topic.value}"
            since = self._since[subject] = before.get(subject, at)
            # A trainer reads all the time: where it does not, it is gone, and no reader is behind.
            gone = run_of(lag.group) is not None and lag.idle_seconds > self._most_seconds
            if gone or lag.oldest_seconds <= self._most_seconds:
                found[subject] = None
                continue
            if (at - since).total_seconds() <= self._most_seconds:
                # Old messages are no sign of a slow reader that has only begun.
                found.pop(subject, None)
                continue
            message = (
                f"the group {lag.group} has {lag.waiting:,} messages of {lag.topic.value} waiting "
                f"and {lag.pending:,} unacknowledged, the oldest for {lag.oldest_seconds:.0f} s"
            )
            found[subject] = Finding(severity=Severity.WARNING, message=message)
        return found

    def heard(self, health: ComponentHealth, at: datetime) -> Findings:
        """Look whether a sender dropped more messages since it was heard of last."""
        total = dropped(health)
        if total is None:
            return NOTHING
        name = f"{health.component.value}/{health.instance}"
        fresh = total - self._dropped.get(name, 0)
        self._dropped[name] = total
        if health.leaving:
            del self._dropped[name]
        if fresh <= 0:
            return {name: None}
        message = f"{name} could not send {fresh:,} messages since it was heard of last"
        return {name: Finding(severity=Severity.WARNING, message=message)}
