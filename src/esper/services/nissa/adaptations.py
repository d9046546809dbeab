"""What a run's growth events say, read back out of lines: impacts, stations of kernels.

An impact is what was expected of an adaptation, and what it came to (document 004): what the race
found before the graft is the prediction, what was measured when the graft was judged the outcome.
Both are the relative fall of the calibrated growth loss against the model as it was before.

All of it is pure: lines of one run in the order of its log go in. A line of another version of
Esper that cannot be read is passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from esper.contracts.enums import AdaptationOutcome, Verdict
from esper.contracts.events import (
    Event,
    GraftStarted,
    RaceDecided,
    RaceStarted,
    RungFinished,
    SeedCulled,
    SeedFossilized,
    SeedGerminated,
)
from esper.contracts.growth import CandidateStanding
from esper.contracts.operational import FieldReport
from esper.contracts.runs import Impact, KernelHistoryEntry
from esper.services.nissa.projection import Body, mapping, record_of

ADAPTATION_KINDS: Final = (
    "RaceStarted",
    "RungFinished",
    "RaceDecided",
    "SeedGerminated",
    "GraftStarted",
    "SeedFossilized",
    "SeedCulled",
)
"""Kinds of the events that adaptations are made of."""


def events(bodies: Iterable[Body]) -> Iterator[Event]:
    """Yield the events among a run's lines."""
    told = (record_of(body) for body in bodies if body.get("type") == "event")
    return (event for event in told if isinstance(event, Event))


_VERDICTS: Final = {
    AdaptationOutcome.FOSSILIZED: Verdict.FOSSILISE,
    AdaptationOutcome.CULLED: Verdict.CULL,
    AdaptationOutcome.ROLLED_BACK: Verdict.ROLL_BACK,
}


def impacts_of(events: Iterable[Event]) -> Sequence[Impact]:
    """Return a run's adaptations, in the order in which their grafts began."""
    winner: CandidateStanding | None = None
    impacts: list[Impact] = []
    for event in events:
        match event:
            case RaceDecided():
                winner = event.winner
            case GraftStarted():
                is_it = winner is not None and (winner.layer_name, winner.candidate) == (
                    event.layer_name,
                    event.blueprint,
                )
                impacts.append(_begun(event, winner if is_it else None))
            case SeedFossilized() | SeedCulled():
                _close(impacts, event)
            case _:
                pass
    return impacts


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
    verdict = Verdict.FOSSILISE if isinstance(end, SeedFossilized) else Verdict.CULL
    report, low, high = end.report, impact.predicted_low, impact.predicted_high
    if report is None:
        return {"judged_at": end.step, "verdict": verdict}
    within = None
    if report.gain is not None and low is not None and high is not None:
        within = low <= report.gain <= high
    return {
        "judged_at": end.step,
        "verdict": _VERDICTS.get(report.outcome, verdict),
        "outcome": report.gain,
        "outcome_low": report.ci_low,
        "outcome_high": report.ci_high,
        "within": within,
    }


def history_of(
    kernel_id: str, run_id: str, run_name: str, bodies: Sequence[Body]
) -> Sequence[KernelHistoryEntry]:
    """Return one station for each slot and race of a run that a kernel was in; open ones come last.

    Args:
        kernel_id: The kernel.
        run_id: The run.
        run_name: Its `data model`.
        bodies: Its lines that tell of adaptations, of the library and of what it kept for it.
    """
    entered: set[str] = set()
    born: list[str] = []
    for body in bodies:
        if body.get("type") == "library" and isinstance(listed := body.get("entered"), list):
            entered.update(map(str, listed))
        elif body.get("type") == "growth":
            kept = mapping(body.get("kernels")).items()
            born += [layer for layer, kernel in kept if kernel == kernel_id]
    begun = partial(
        KernelHistoryEntry,
        kernel_id=kernel_id,
        run_id=run_id,
        run_name=run_name,
        role="entered" if kernel_id in entered else "grown",
        outcome="racing",
    )
    stations = _Stations(kernel_id, begun, born)
    for event in events(bodies):
        match event:
            case RaceStarted():
                stations.stand(event.step, event.candidates)
            case RungFinished():
                stations.stand(event.step, event.standings)
            case RaceDecided():
                stations.decide(event)
            case SeedGerminated() if event.kernel_id == kernel_id:
                # One that came into a slot without a race too: somebody loaded it.
                key = (event.layer_name, event.mode.value)
                stations.open.setdefault(key, stations.begin(event))
            case SeedFossilized() | SeedCulled():
                stations.end(event)
            case _:
                pass
    return [*stations.closed, *stations.open.values()]


@dataclass
class _Stations:
    kernel_id: str
    begun: Callable[..., KernelHistoryEntry]
    born: Sequence[str]
    """Layers in which the run made the kernel."""
    open: dict[tuple[str, str], KernelHistoryEntry] = field(default_factory=dict)
    """By layer and mode."""
    closed: list[KernelHistoryEntry] = field(default_factory=list)

    def stand(self, step: int, standings: Iterable[CandidateStanding]) -> None:
        """Note how the kernel stands at the beginning or at a mark of a race."""
        for standing in standings:
            if standing.kernel_id == self.kernel_id:
                self.open[standing.layer_name, standing.mode.value] = self.begun(
                    layer_name=standing.layer_name,
                    candidate=standing.candidate,
                    step=step,
                    **_measured(standing),
                )

    def decide(self, event: RaceDecided) -> None:
        """Close all but the winner, which goes on as a graft."""
        winner = event.winner
        self.stand(event.step, () if winner is None else (winner,))
        outcome = AdaptationOutcome.NO_WINNER if winner is None else AdaptationOutcome.OUTRACED
        goes_on = None
        if winner is not None and winner.kernel_id == self.kernel_id:
            goes_on = (winner.layer_name, winner.mode.value)
        for key in [key for key in self.open if key != goes_on]:
            self._close(key, event.step, outcome=outcome)

    def begin(self, event: SeedGerminated | SeedFossilized | SeedCulled) -> KernelHistoryEntry:
        """Return a station of what was not in a race."""
        return self.begun(layer_name=event.layer_name, candidate=event.blueprint, step=event.step)

    def end(self, event: SeedFossilized | SeedCulled) -> None:
        """Close what was grafted in the layer."""
        report, is_kept = event.report, isinstance(event, SeedFossilized)
        outcome = AdaptationOutcome.FOSSILIZED if is_kept else AdaptationOutcome.CULLED
        told = outcome if report is None else report.outcome
        if is_kept and event.layer_name in self.born:
            self.open[event.layer_name, ""] = self.begin(event)
        for key in [key for key in self.open if key[0] == event.layer_name]:
            self._close(key, event.step, outcome=told, **_measured(report))

    def _close(self, key: tuple[str, str], step: int, **told: object) -> None:
        self.closed.append(self.open.pop(key).model_copy(update={"step": step, **told}))


def _measured(by: CandidateStanding | FieldReport | None) -> dict[str, float | None]:
    """Return the gain and its confidence interval; nothing where nobody measured."""
    return {} if by is None else {"gain": by.gain, "ci_low": by.ci_low, "ci_high": by.ci_high}
