"""Counterfactuals: what each decision rests on, as figures and as places on one common axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from esper.contracts.growth import Evidence, GrowthDecision
from esper.report import findings, story


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A gain with its interval."""

    evidence: Evidence
    low: float
    """Where the interval begins on the axis, in percent of its width."""
    high: float
    """Where it ends."""
    at: float
    """Where the gain stands."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One decision, and the measurement behind it."""

    step: int
    kind: str
    """`in`, `out` (never came in) or `undone` (came in and went out)."""
    outcome: str
    """What was done: `grafted`, `declined`."""
    layer: str
    what: str
    """The candidate in words; empty where there was none."""
    reason: str
    rent: float
    against_host: Bar | None
    """The model with the kernel against the model without; None where nothing was measured."""
    against_control: Bar | None
    """Against a fresh copy of the layer that trained as long; None where there was none."""
    rent_at: float
    """Where the rent stands on the axis, in percent."""


@dataclass(frozen=True, kw_only=True)
class Verdicts:
    """All decisions of a run, on one axis."""

    rows: Sequence[Verdict]
    """In order."""
    zero: float
    """Where no gain at all stands on the axis, in percent."""
    ticks: Sequence[tuple[float, float]]
    """Gain and place of the axis' labels."""

    @property
    def measured(self) -> Sequence[Verdict]:
        """Those that rest on a measurement."""
        return [row for row in self.rows if row.against_host is not None]


@dataclass(frozen=True)
class _Axis:
    low: float
    high: float

    def at(self, value: float) -> float:
        place = (value - self.low) / (self.high - self.low)
        return round(100 * min(max(place, 0.0), 1.0), 3)


def verdicts(decisions: Sequence[GrowthDecision]) -> Verdicts:
    """Return the decisions with their evidence laid out on an axis that all share."""
    axis = _axis(decisions)
    ticks = [step / 4 for step in range(-8, 5) if axis.low <= step / 4 <= axis.high]
    return Verdicts(
        rows=[_verdict(one, axis) for one in decisions],
        zero=axis.at(0.0),
        ticks=[(tick, axis.at(tick)) for tick in ticks],
    )


def _axis(decisions: Sequence[GrowthDecision]) -> _Axis:
    bounds = [0.0]
    for decision in decisions:
        for one in (decision.evidence, decision.against_control):
            if one is not None:
                bounds.extend((one.ci_low, one.ci_high, one.gain))
    # A candidate that blew up would leave no room for the others: beyond -200 % is cut off.
    low, high = max(min(bounds), -2.0), min(max(bounds), 1.0)
    margin = 0.04 * max(high - low, 0.1)
    return _Axis(low - margin, high + margin)


def _verdict(decision: GrowthDecision, axis: _Axis) -> Verdict:
    candidate = decision.candidate
    kind = "in" if decision.verdict in (findings.GRAFT, findings.FOSSILISE) else "out"
    return Verdict(
        step=decision.step,
        kind="undone" if decision.verdict in findings.UNDOING else kind,
        outcome=findings.outcome(decision.verdict),
        layer="" if candidate is None else candidate.layer_name,
        what="" if candidate is None else story.kernel_phrase(candidate),
        reason=decision.reason,
        rent=decision.rent,
        against_host=_bar(decision.evidence, axis),
        against_control=_bar(decision.against_control, axis),
        rent_at=axis.at(decision.rent),
    )


def _bar(evidence: Evidence | None, axis: _Axis) -> Bar | None:
    if evidence is None:
        return None
    return Bar(
        evidence=evidence,
        low=axis.at(evidence.ci_low),
        high=axis.at(evidence.ci_high),
        at=axis.at(evidence.gain),
    )
