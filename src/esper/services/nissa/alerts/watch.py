"""Watch: shows rules what happens, and turns what they find into alerts: raised once, ended once.

An alert's identity follows from what it is about and from where it began, so that whoever looks at
the same lines a second time raises the same alert and not another one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import ClassVar, Final

from esper.contracts.enums import AlertRule, Severity
from esper.contracts.platform_events import Alert, ComponentHealth
from esper.contracts.ports import GroupLag
from esper.contracts.records import LogEntry
from esper.contracts.runs import StoredLine
from esper.services.nissa.alerts.alert_config import AlertConfig
from esper.services.nissa.projection import ENDS

Findings = Mapping[str, str | None]
"""Subject -> what is found about it now, with its figures, as a sentence; None says that it was
looked at and is in order. Whoever is not named was not looked at."""

NOTHING: Final[Findings] = {}
"""Nobody was looked at."""

_MOST_OPEN: Final = 1000
"""Alerts that are open at once; beyond that no more are raised until some have ended."""


class Rule:
    """Looks at a run's lines in order, or at processes, the bus and the clock.

    Same lines, same findings.
    """

    rule: ClassVar[AlertRule]
    """What it finds."""
    severity: ClassVar[Severity] = Severity.WARNING
    """How much that matters."""

    def __init__(self, config: AlertConfig) -> None:
        """Begin with nothing seen."""
        self._config = config

    def observe(self, record: LogEntry, at: datetime) -> Findings:
        """Look at one more line, which was sent at a time."""
        return NOTHING

    def heard(self, health: ComponentHealth, at: datetime) -> Findings:
        """A component said how it is."""
        return NOTHING

    def measured(self, lags: Sequence[GroupLag], at: datetime) -> Findings:
        """The bus was asked how far its groups are behind."""
        return NOTHING

    def tick(self, at: datetime) -> Findings:
        """Time went by."""
        return NOTHING


class Watch:
    """The rules of one run, or of everything that is no run, and the alerts that are open.

    Args:
        rules: What looks.
        config: From where on a figure is an alert.
        run_id: The run; None for the platform.
    """

    def __init__(
        self, rules: Iterable[type[Rule]], config: AlertConfig, run_id: str | None = None
    ) -> None:
        self._rules = [rule(config) for rule in rules]
        self._run_id = run_id
        self._open: dict[tuple[AlertRule, str], Alert] = {}

    @property
    def open(self) -> Sequence[Alert]:
        """The alerts that last, in the order in which they were raised."""
        return tuple(self._open.values())

    def recall(self, opened: Iterable[Alert]) -> None:
        """Take up alerts that were open when somebody looked last."""
        self._open = {(alert.rule, alert.subject): alert for alert in opened}

    def follow(self, line: StoredLine, record: LogEntry) -> list[Alert]:
        """Look at one more line; return what it raises or ends. The run's end ends its alerts."""
        origin = str(line.position)
        changed = self._each(lambda rule: rule.observe(record, line.at), line.at, origin, record)
        return changed + (self.end(line.at) if isinstance(record, ENDS) else [])

    def heard(self, health: ComponentHealth, at: datetime) -> list[Alert]:
        """A component said how it is."""
        return self._each(lambda rule: rule.heard(health, at), at)

    def measured(self, lags: Sequence[GroupLag], at: datetime) -> list[Alert]:
        """The bus was asked how far its groups are behind."""
        return self._each(lambda rule: rule.measured(lags, at), at)

    def tick(self, at: datetime) -> list[Alert]:
        """Time went by."""
        return self._each(lambda rule: rule.tick(at), at)

    def end(self, at: datetime) -> list[Alert]:
        """End every alert: the run is over, or nobody hears of it any more."""
        over = [ended(alert, at) for alert in self.open]
        self._open.clear()
        return over

    def _each(
        self,
        look: Callable[[Rule], Findings],
        at: datetime,
        origin: str | None = None,
        record: LogEntry | None = None,
    ) -> list[Alert]:
        """Let every rule look; `origin` is the same wherever the same thing is looked at again."""
        changed: list[Alert] = []
        for rule in self._rules:
            for subject, message in look(rule).items():
                key = (rule.rule, subject)
                known = self._open.get(key)
                if message is None and known is not None:
                    changed.append(ended(self._open.pop(key), at))
                elif message is not None and known is None and len(self._open) < _MOST_OPEN:
                    self._open[key] = Alert(
                        alert_id=self._identity(*key, origin or at.isoformat()),
                        rule=rule.rule,
                        severity=rule.severity,
                        subject=subject,
                        run_id=self._run_id,
                        step=None if record is None else record.step,
                        message=message,
                        raised_at=at,
                    )
                    changed.append(self._open[key])
        return changed

    def _identity(self, *words: str) -> str:
        text = "\n".join((self._run_id or "", *words))
        return hashlib.sha256(text.encode()).hexdigest()[:32]


def ended(alert: Alert, at: datetime) -> Alert:
    """Return an alert that is over."""
    return alert.model_copy(update={"ended_at": max(at, alert.raised_at)})
