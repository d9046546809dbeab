"""What a growth record comes to: which kernels stayed, which were tried, what they bought."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from esper.contracts.enums import KernelMode, Verdict
from esper.contracts.growth import CandidateStanding, GrowthDecision, GrowthReport
from esper.contracts.site import Site
from esper.report import wording

CONTROL = "control"
_CLOSING: Final = {Verdict.FOSSILISE, Verdict.CULL, Verdict.ROLL_BACK}
"""Verdicts that end a graft."""


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
        return self.closed is None or self.closed.verdict is Verdict.FOSSILISE

    @property
    def verdict(self) -> GrowthDecision:
        """The decision with the latest evidence."""
        if self.closed is not None and self.closed.evidence is not None:
            return self.closed
        return self.chosen


OUTCOMES: Final[Mapping[str, str]] = {
    Verdict.GRAFT: "grafted",
    Verdict.FOSSILISE: "made permanent",
    Verdict.DECLINE: "declined",
    Verdict.CULL: "taken out",
    Verdict.ROLL_BACK: "rolled back",
    "": "under way",
}
"""What was done, by verdict; there is none yet of a graft that goes on."""


def is_control(candidate: CandidateStanding) -> bool:
    """Whether this is the fresh copy of the host layer, which a winner must beat."""
    return candidate.family == CONTROL


def blueprint(candidate: CandidateStanding) -> str:
    """Family and size of a candidate, `conv1d/m`."""
    return f"{candidate.family}/{candidate.size}" if candidate.size else candidate.family


def kernel_phrase(candidate: CandidateStanding) -> str:
    """A candidate in words: what it is and how it stands to its host."""
    if is_control(candidate):
        what = "nothing at" if Site.of(candidate.layer_name).behind else "a fresh copy of"
        return f"{what} {wording.place(candidate.layer_name)}"
    proven = "" if candidate.kernel_id is None else "proven "
    return joined(f"{proven}{blueprint(candidate)}", candidate.mode, candidate.layer_name)


def joined(what: str, mode: KernelMode, layer: str) -> str:
    """A kernel, and how it stands to its host."""
    verb = "in place of" if mode is KernelMode.REPLACING else beside(layer)
    return f"{what} {verb} {wording.place(layer)}"


def beside(layer: str) -> str:
    """The word for where a kernel stands that takes nobody's place."""
    return "at" if Site.of(layer).behind else "beside"


def grafts(report: GrowthReport) -> list[Graft]:
    """Every graft in the order in which it began, each with the decision that closed it."""
    found: list[Graft] = []
    for position, decision in enumerate(report.decisions):
        candidate = decision.candidate
        if decision.verdict is Verdict.GRAFT and candidate is not None:
            later = report.decisions[position + 1 :]
            closed = next((one for one in later if _closes(one, candidate)), None)
            found.append(Graft(candidate=candidate, chosen=decision, closed=closed))
    return found


def _closes(decision: GrowthDecision, graft: CandidateStanding) -> bool:
    about = decision.candidate
    here = about is None or about.layer_name == graft.layer_name
    return here and decision.verdict in _CLOSING


def metric_at(report: GrowthReport, step: int) -> float | None:
    """The metric of the last evaluation at or before `step`; None where there was none."""
    measured = [p for p in report.curve if p.step <= step and p.growth_metric is not None]
    return measured[-1].growth_metric if measured else None


def best_declined(report: GrowthReport) -> GrowthDecision | None:
    """The declined decision that came closest: the largest gain less rent."""
    declined = [
        d for d in report.decisions if d.verdict is Verdict.DECLINE and d.evidence is not None
    ]
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
