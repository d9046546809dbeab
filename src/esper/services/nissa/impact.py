"""Impact: what was expected of each adaptation, and what it came to (document 004).

What the race found before the graft is the prediction; what was measured when the graft was judged
is the outcome. Both are the relative fall of the calibrated growth loss against the model as it
was before the graft. Pure: a run's events in the order of its log go in.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from esper.contracts.enums import AdaptationOutcome, Verdict
from esper.contracts.events import AnyEvent, GraftStarted, RaceDecided, SeedCulled, SeedFossilized
from esper.contracts.growth import CandidateStanding
from esper.contracts.operational import FieldReport
from esper.contracts.runs import Impact

_VERDICTS: Final = {
    AdaptationOutcome.FOSSILIZED: Verdict.FOSSILISE,
    AdaptationOutcome.CULLED: Verdict.CULL,
    AdaptationOutcome.ROLLED_BACK: Verdict.ROLL_BACK,
}


def impacts_of(events: Iterable[AnyEvent]) -> Sequence[Impact]:
    """Return a run's adaptations, in the order in which their grafts began."""
    winner: CandidateStanding | None = None
    impacts: list[Impact] = []
    for event in events:
        match event:
            case RaceDecided():
                winner = event.winner
            case GraftStarted():
                won = winner if _is_of(winner, event) else None
                impacts.append(_begun(event, won))
            case SeedFossilized() | SeedCulled():
                _close(impacts, event)
            case _:
                pass
    return impacts


def _is_of(winner: CandidateStanding | None, graft: GraftStarted) -> bool:
    return winner is not None and (winner.layer_name, winner.candidate) == (
        graft.layer_name,
        graft.blueprint,
    )


def _begun(graft: GraftStarted, winner: CandidateStanding | None) -> Impact:
    return Impact(
        layer_name=graft.layer_name,
        candidate=graft.blueprint,
        kernel_id=None if winner is None else winner.kernel_id,
        grafted_at=graft.step,
        predicted=None if winner is None else winner.gain,
        predicted_low=None if winner is None else winner.ci_low,
        predicted_high=None if winner is None else winner.ci_high,
    )


def _close(impacts: list[Impact], end: SeedFossilized | SeedCulled) -> None:
    """Complete the newest graft in the layer that is still open."""
    for number in reversed(range(len(impacts))):
        impact = impacts[number]
        if impact.layer_name == end.layer_name and impact.judged_at is None:
            impacts[number] = impact.model_copy(update=_outcome(impact, end))
            return


def _outcome(impact: Impact, end: SeedFossilized | SeedCulled) -> dict[str, object]:
    report = end.report
    gain = None if report is None else report.gain
    bounds = (impact.predicted_low, impact.predicted_high)
    within = None
    if gain is not None and bounds[0] is not None and bounds[1] is not None:
        within = bounds[0] <= gain <= bounds[1]
    return {
        "judged_at": end.step,
        "verdict": _verdict(end, report),
        "outcome": gain,
        "outcome_low": None if report is None else report.ci_low,
        "outcome_high": None if report is None else report.ci_high,
        "within": within,
    }


def _verdict(end: SeedFossilized | SeedCulled, report: FieldReport | None) -> Verdict:
    default = Verdict.FOSSILISE if isinstance(end, SeedFossilized) else Verdict.CULL
    return default if report is None else _VERDICTS.get(report.outcome, default)
