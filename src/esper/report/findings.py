"""What a growth record comes to: which kernels stayed, which were tried, what they bought."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from esper.contracts.growth import CandidateStanding, GrowthDecision, GrowthReport

GRAFT = "graft"
FOSSILISE = "fossilise"
DECLINE = "decline"
UNDOING = frozenset({"cull", "roll back"})
CONTROL = "control"


@dataclass(frozen=True, kw_only=True)
class Graft:
    """One kernel's way through the model."""

    candidate: CandidateStanding
    chosen: GrowthDecision
    """The verdict of the race."""
    closed: GrowthDecision | None
    """The verdict of the evaluation after the blend; None while it is not in."""

    @property
    def stayed(self) -> bool:
        """Whether the kernel is in the final model."""
        return self.closed is None or self.closed.verdict == FOSSILISE

    @property
    def verdict(self) -> GrowthDecision:
        """The decision with the latest evidence."""
        if self.closed is not None and self.closed.evidence is not None:
            return self.closed
        return self.chosen


_OUTCOMES = {
    GRAFT: "grafted",
    FOSSILISE: "made permanent",
    DECLINE: "declined",
    "cull": "taken out",
    "roll back": "rolled back",
}


def outcome(verdict: str) -> str:
    """A verdict as what was done: `grafted`, `declined`; of none yet, `under way`."""
    return _OUTCOMES.get(verdict, verdict) or "under way"


def is_control(candidate: CandidateStanding) -> bool:
    """Whether this is the fresh copy of the host layer, which a winner must beat."""
    return candidate.family == CONTROL


def blueprint(candidate: CandidateStanding) -> str:
    """Family and size of a candidate, `conv1d/m`."""
    return f"{candidate.family}/{candidate.size}" if candidate.size else candidate.family


def same(one: CandidateStanding, other: CandidateStanding) -> bool:
    """Whether two standings are of one candidate; a race's labels are unique in it."""
    return one.identity == other.identity


def grafts(report: GrowthReport) -> list[Graft]:
    """Every graft in the order in which it began, each with the decision that closed it."""
    found: list[Graft] = []
    for position, decision in enumerate(report.decisions):
        if decision.verdict == GRAFT and decision.candidate is not None:
            closed = next(_closing(report.decisions[position + 1 :], decision.candidate), None)
            found.append(Graft(candidate=decision.candidate, chosen=decision, closed=closed))
    return found


def metric_at(report: GrowthReport, step: int) -> float | None:
    """The metric of the last evaluation at or before `step`; None where there was none."""
    measured = [p for p in report.curve if p.step <= step and p.growth_metric is not None]
    return measured[-1].growth_metric if measured else None


def best_declined(report: GrowthReport) -> GrowthDecision | None:
    """The declined decision that came closest: the largest gain less rent."""
    declined = [d for d in report.decisions if d.verdict == DECLINE and d.evidence is not None]
    return max(declined, key=net_gain, default=None)


def net_gain(decision: GrowthDecision) -> float:
    """Gain less rent; minus infinity where there is no evidence."""
    return decision.evidence.gain - decision.rent if decision.evidence else float("-inf")


def candidates(standings: Sequence[CandidateStanding]) -> int:
    """How many of them are candidates: a control is none."""
    return sum(not is_control(standing) for standing in standings)


def entrants(report: GrowthReport) -> int:
    """Number of candidates over all races."""
    return sum(candidates(race.entrants) for race in report.races)


def _closing(
    later: Sequence[GrowthDecision], candidate: CandidateStanding
) -> Iterator[GrowthDecision]:
    for decision in later:
        here = (
            decision.candidate is not None and decision.candidate.layer_name == candidate.layer_name
        )
        if here and (decision.verdict == FOSSILISE or decision.verdict in UNDOING):
            yield decision
        if decision.candidate is None and decision.verdict in UNDOING:
            yield decision
