"""Finding: what a rule says about a subject, and the two kinds of rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from esper.contracts.enums import AlertRule, Severity
from esper.contracts.events import AnyEvent
from esper.contracts.platform_events import ComponentHealth
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
