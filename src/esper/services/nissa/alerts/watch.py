"""Watch: shows the rules what happens, and returns the alerts that this raises or ends."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from esper.contracts.events import AnyEvent
from esper.contracts.platform_events import Alert, ComponentHealth
from esper.contracts.ports import GroupLag
from esper.contracts.records import AnyRecord, RunEnded, RunFailed, RunInterrupted
from esper.contracts.runs import StoredLine
from esper.services.nissa.alerts.alert_config import AlertConfig
from esper.services.nissa.alerts.alert_ledger import AlertLedger, Findings, PlatformRule
from esper.services.nissa.alerts.platform_rules import platform_rules
from esper.services.nissa.alerts.run_rules import run_rules


class RunWatch:
    """The rules of one run, and its open alerts."""

    def __init__(self, run_id: str, config: AlertConfig) -> None:
        """Begin with nothing seen."""
        self._rules = run_rules(config)
        self._ledger = AlertLedger(run_id)

    @property
    def open(self) -> Sequence[Alert]:
        """The alerts that last."""
        return self._ledger.open

    def follow(self, line: StoredLine, record: AnyRecord | AnyEvent) -> list[Alert]:
        """Look at one more line; the run's end ends its alerts, unless it failed."""
        changed: list[Alert] = []
        for rule in self._rules:
            changed += self._ledger.take(
                rule.rule,
                rule.observe(record, line.at),
                at=line.at,
                origin=str(line.position),
                step=record.step,
            )
        if isinstance(record, RunEnded | RunInterrupted | RunFailed):
            changed += self._ledger.end_all(line.at)
        return changed

    def end(self, at: datetime) -> list[Alert]:
        """End the alerts of a run that is over, or that nobody hears of any more."""
        return self._ledger.end_all(at)


class PlatformWatch:
    """The rules of everything that is no run, and their open alerts."""

    def __init__(self, config: AlertConfig) -> None:
        """Begin with nothing seen."""
        self._rules = platform_rules(config)
        self._ledger = AlertLedger()

    def recall(self, opened: Iterable[Alert]) -> None:
        """Take up alerts that were open when somebody looked last."""
        self._ledger = AlertLedger(opened=opened)

    @property
    def open(self) -> Sequence[Alert]:
        """The alerts that last."""
        return self._ledger.open

    def heard(self, health: ComponentHealth, at: datetime) -> list[Alert]:
        """A component said how it is."""
        return self._each(((rule, rule.heard(health, at)) for rule in self._rules), at)

    def measured(self, lags: Sequence[GroupLag], at: datetime) -> list[Alert]:
        """The bus was asked how far its groups are behind."""
        return self._each(((rule, rule.measured(lags, at)) for rule in self._rules), at)

    def tick(self, at: datetime) -> list[Alert]:
        """Time went by."""
        return self._each(((rule, rule.tick(at)) for rule in self._rules), at)

    def _each(self, found: Iterable[tuple[PlatformRule, Findings]], at: datetime) -> list[Alert]:
        changed: list[Alert] = []
        for rule, findings in found:
            changed += self._ledger.take(
                rule.rule, findings, at=at, origin=at.isoformat(), step=None
            )
        return changed
