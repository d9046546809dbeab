"""Findings of rules, and AlertLedger, which turns them into alerts: raised once, ended once.

An alert's identity follows from what it is about and from where it began, so that whoever looks at
the same lines a second time raises the same alert and not another one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from esper.contracts.enums import AlertRule, Severity
from esper.contracts.events import AnyEvent
from esper.contracts.platform_events import Alert, ComponentHealth
from esper.contracts.ports import GroupLag
from esper.contracts.records import AnyRecord


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something that needs a look."""

    severity: Severity
    """How much it matters."""
    message: str
    """What was found, with its figures, as a sentence."""


Findings = Mapping[str, Finding | None]
"""Subject -> what is found about it now; None says that it was looked at and is in order. Whoever
is not named was not looked at."""

NOTHING: Findings = {}
"""Nobody was looked at."""


class RunRule:
    """Looks at the lines of one run, in order. Same lines, same findings."""

    rule: AlertRule
    """What it finds."""

    def observe(self, record: AnyRecord | AnyEvent, at: datetime) -> Findings:
        """Look at one more line, which was sent at a time."""
        raise NotImplementedError


class PlatformRule:
    """Looks at what processes say of themselves, at the bus, and at the clock."""

    rule: AlertRule
    """What it finds."""

    def heard(self, health: ComponentHealth, at: datetime) -> Findings:
        """A component said how it is."""
        return NOTHING

    def measured(self, lags: Sequence[GroupLag], at: datetime) -> Findings:
        """The bus was asked how far its groups are behind."""
        return NOTHING

    def tick(self, at: datetime) -> Findings:
        """Time went by."""
        return NOTHING


_MOST_OPEN = 1000
"""Alerts that are open at once; beyond that no more are raised until some have ended."""


class AlertLedger:
    """The alerts of one run, or of the platform, that are open."""

    def __init__(self, run_id: str | None = None, opened: Iterable[Alert] = ()) -> None:
        """Begin with the alerts that are open already."""
        self._run_id = run_id
        self._open = {(alert.rule, alert.subject): alert for alert in opened}

    @property
    def open(self) -> Sequence[Alert]:
        """The alerts that last, in the order in which they were raised."""
        return tuple(self._open.values())

    def take(
        self, rule: AlertRule, findings: Findings, *, at: datetime, origin: str, step: int | None
    ) -> list[Alert]:
        """Return what changed: alerts that were raised, and those that ended.

        Args:
            rule: Whose findings they are.
            findings: What it says.
            at: When that was, UTC.
            origin: Where it was found: the same wherever the same thing is looked at again.
            step: Training step at which it was found, if there is one.
        """
        changed: list[Alert] = []
        for subject, finding in findings.items():
            key = (rule, subject)
            known = self._open.get(key)
            if finding is None and known is not None:
                del self._open[key]
                changed.append(ended(known, at))
            elif finding is not None and known is None and len(self._open) < _MOST_OPEN:
                self._open[key] = Alert(
                    alert_id=_identity(self._run_id, rule, subject, origin),
                    rule=rule,
                    severity=finding.severity,
                    subject=subject,
                    run_id=self._run_id,
                    step=step,
                    message=finding.message,
                    raised_at=at,
                )
                changed.append(self._open[key])
        return changed

    def end_all(self, at: datetime) -> list[Alert]:
        """End every alert; returns them."""
        over = [ended(alert, at) for alert in self.open]
        self._open.clear()
        return over


def ended(alert: Alert, at: datetime) -> Alert:
    """Return an alert that is over."""
    return alert.model_copy(update={"ended_at": max(at, alert.raised_at)})


def _identity(run_id: str | None, rule: AlertRule, subject: str, origin: str) -> str:
    text = "\n".join((run_id or "", rule.value, subject, origin))
    return hashlib.sha256(text.encode()).hexdigest()[:32]
