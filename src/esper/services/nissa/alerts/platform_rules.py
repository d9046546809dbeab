"""What processes and the bus tell: who is lost, what lags.

A rule is a class, and a name in the table at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from esper.contracts.enums import AlertRule, Severity
from esper.contracts.messages import run_of
from esper.contracts.platform_events import ComponentHealth
from esper.contracts.ports import GroupLag
from esper.services.nissa.alerts.alert_config import AlertConfig
from esper.services.nissa.alerts.watch import NOTHING, Findings, Rule
from esper.services.nissa.details import FORGOTTEN_SECONDS, counters


class WorkerLost(Rule):
    """Remembers when each component was heard of, until it takes its leave or is forgotten."""

    rule = AlertRule.WORKER_LOST
    severity = Severity.CRITICAL

    def __init__(self, config: AlertConfig) -> None:
        super().__init__(config)
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
        found: dict[str, str | None] = {}
        for name, (health, last) in list(self._heard.items()):
            silent = (at - last).total_seconds()
            if silent > FORGOTTEN_SECONDS:
                found[name] = None
                del self._heard[name]
            elif silent > self._config.lost_intervals * health.interval_seconds:
                found[name] = (
                    f"{name} has said nothing for {silent:.0f} s, and should every "
                    f"{health.interval_seconds:g} s"
                )
        return found


def _name(health: ComponentHealth) -> str:
    return f"{health.component.value}/{health.instance}"


class BusLag(Rule):
    """Looks at the age of what waits for each group, and at what senders had to drop."""

    rule = AlertRule.BUS_LAG

    def __init__(self, config: AlertConfig) -> None:
        super().__init__(config)
        self._dropped: dict[str, int] = {}
        self._since: dict[str, datetime] = {}
        """When each group was seen first."""

    def measured(self, lags: Sequence[GroupLag], at: datetime) -> Findings:
        """Look at every group. One that is gone, with its run, has no lag any more."""
        found: dict[str, str | None] = dict.fromkeys(self._since)
        before, self._since = self._since, {}
        for lag in lags:
            subject = f"{lag.group} on {lag.topic.value}"
            since = self._since[subject] = before.get(subject, at)
            # A trainer reads all the time: where it does not, it is gone, and no reader is behind.
            gone = run_of(lag.group) is not None and lag.idle_seconds > self._config.lag_seconds
            if gone or lag.oldest_seconds <= self._config.lag_seconds:
                found[subject] = None
                continue
            if (at - since).total_seconds() <= self._config.lag_seconds:
                # Old messages are no sign of a slow reader that has only begun.
                found.pop(subject, None)
                continue
            found[subject] = (
                f"the group {lag.group} has {lag.waiting:,} messages of {lag.topic.value} waiting "
                f"and {lag.pending:,} unacknowledged, the oldest for {lag.oldest_seconds:.0f} s"
            )
        return found

    def heard(self, health: ComponentHealth, at: datetime) -> Findings:
        """Look whether a sender dropped more messages since it was heard of last."""
        total = counters(health).get("dropped")
        if total is None:
            return NOTHING
        name = _name(health)
        fresh = total - self._dropped.get(name, 0)
        self._dropped[name] = total
        if health.leaving:
            del self._dropped[name]
        if fresh <= 0:
            return {name: None}
        return {name: f"{name} could not send {fresh:,} messages since it was heard of last"}


class CacheMissStorm(Rule):
    """Compares a cache's counters with those of its last look, once enough loads lie between."""

    rule = AlertRule.CACHE_MISS_STORM

    def __init__(self, config: AlertConfig) -> None:
        super().__init__(config)
        self._before: dict[str, tuple[int, int]] = {}
        """Hits and misses."""

    def heard(self, health: ComponentHealth, at: datetime) -> Findings:
        """Look at the counters that a component sends along."""
        told = counters(health)
        if not {"hit", "miss"} <= told.keys():
            return NOTHING
        name = _name(health)
        before = self._before.setdefault(name, (0, 0))
        if health.leaving:
            del self._before[name]
            return {name: None}
        misses = told["miss"] - before[1]
        loads = told["hit"] - before[0] + misses
        if loads < self._config.miss_loads:
            return NOTHING
        self._before[name] = told["hit"], told["miss"]
        if misses < self._config.miss_share * loads:
            return {name: None}
        return {
            name: f"{misses:,} of the last {loads:,} loads of {name}'s kernel cache found nothing"
        }


PLATFORM_RULES: Final = (WorkerLost, BusLag, CacheMissStorm)
"""Every rule of what is no run."""
