"""What a run's growth events say, read back out of lines: impacts, stations of kernels, slots.

An impact is what was expected of an adaptation, and what it came to (document 004): what the race
found before the graft is the prediction, what was measured when the graft was judged the outcome.
Both are the relative fall of the calibrated growth loss against the model as it was before.

All of it is pure: lines of one run in the order of its log go in. A line of another version of
Esper that cannot be read is passed over.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from pydantic import ValidationError

from esper.contracts.base import MOST_SLOTS
from esper.contracts.enums import AdaptationOutcome, SeedState, Verdict
from esper.contracts.events import (
    AnyEvent,
    GraftStarted,
    RaceDecided,
    RaceStarted,
    RungFinished,
    SeedCulled,
    SeedEventBase,
    SeedFossilized,
    SeedGerminated,
    SeedRetreated,
    parse_event,
)
from esper.contracts.growth import CandidateStanding
from esper.contracts.operational import FieldReport
from esper.contracts.runs import Impact, KernelHistoryEntry
from esper.services.nissa.projection import Body, mapping

ADAPTATION_KINDS: Final = (
    "RaceStarted",
    "RungFinished",
    "RaceDecided",
    "SeedGerminated",
    "GraftStarted",
    "GraftEvaluated",
    "SeedRetreated",
    "SeedFossilized",
    "SeedCulled",
    "SeedIsolated",
    "VerdictReached",
)
"""Kinds of the events that adaptations are made of."""


def events(bodies: Iterable[Body]) -> Iterator[AnyEvent]:
    """Yield the events among a run's lines."""
    for body in bodies:
        if body.get("type") == "event":
            try:
                yield parse_event({key: value for key, value in body.items() if key != "type"})
            except ValidationError:
                continue


_STATES: Final[Mapping[type[AnyEvent], SeedState]] = {
    SeedGerminated: SeedState.GERMINATED,
    GraftStarted: SeedState.GRAFTING,
    SeedRetreated: SeedState.TRAINING,
    SeedFossilized: SeedState.FOSSILIZED,
    SeedCulled: SeedState.CULLED,
}
"""Event -> state of its slot from then on."""


def slots_of(start: Body, events: Iterable[AnyEvent]) -> Mapping[str, Sequence[SeedState]]:
    """Return the states of each layer's slots, by the layer's qualified name.

    Args:
        start: The run's first line, which says how many slots each layer has.
        events: The run's events, in the order of its log.
    """
    states: dict[str, list[SeedState]] = {
        str(layer): [SeedState.DORMANT] * count
        for layer, count in mapping(mapping(start.get("host")).get("slots")).items()
        if isinstance(count, int) and count <= MOST_SLOTS
    }
    for event in events:
        state = _STATES.get(type(event))
        if state is not None and isinstance(event, SeedEventBase):
            slots = states.setdefault(event.layer_name, [])
            slots += [SeedState.DORMANT] * (event.seed_idx + 1 - len(slots))
            slots[event.seed_idx] = state
    return states


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


RACING = "racing"
"""Outcome of what is not decided yet."""


@dataclass(frozen=True, kw_only=True)
class HistoryRun:
    """The run that a kernel is looked for in."""

    run_id: str
    """Its id."""
    name: str
    """`data model`."""
    entered: frozenset[str]
    """Kernels that came into it from a library."""
    grown: Mapping[str, str] = field(default_factory=dict)
    """Kernels that it kept for a library, by the layer that they grew in."""


def history_of(
    kernel_id: str, run: HistoryRun, events: Iterable[AnyEvent]
) -> Sequence[KernelHistoryEntry]:
    """Return one station for each slot and race that the kernel was in; open ones come last."""
    stations = _Stations(kernel_id, run)
    for event in events:
        match event:
            case RaceStarted():
                stations.stand(event.step, event.candidates)
            case RungFinished():
                stations.stand(event.step, event.standings)
            case RaceDecided():
                stations.decide(event)
            case SeedGerminated() if event.kernel_id == kernel_id:
                stations.germinate(event)
            case SeedFossilized() | SeedCulled():
                stations.end(event)
            case _:
                pass
    return [*stations.closed, *stations.open.values()]


@dataclass
class _Stations:
    kernel_id: str
    run: HistoryRun
    open: dict[tuple[str, str], KernelHistoryEntry] = field(default_factory=dict)
    """By layer and mode."""
    closed: list[KernelHistoryEntry] = field(default_factory=list)

    def stand(self, step: int, standings: Iterable[CandidateStanding]) -> None:
        """Note how the kernel stands at the beginning or at a mark of a race."""
        for standing in standings:
            if standing.kernel_id == self.kernel_id:
                key = (standing.layer_name, standing.mode.value)
                self.open[key] = self._entry(
                    standing.layer_name,
                    standing.candidate,
                    step,
                    gain=standing.gain,
                    ci_low=standing.ci_low,
                    ci_high=standing.ci_high,
                )

    def decide(self, event: RaceDecided) -> None:
        """Close all but the winner, which goes on as a graft."""
        winner = event.winner
        self.stand(event.step, () if winner is None else (winner,))
        outcome = AdaptationOutcome.NO_WINNER if winner is None else AdaptationOutcome.OUTRACED
        for key in list(self.open):
            is_winner = (
                winner is not None
                and winner.kernel_id == self.kernel_id
                and key == (winner.layer_name, winner.mode.value)
            )
            if not is_winner:
                self._close(key, event.step, outcome=outcome.value)

    def germinate(self, event: SeedGerminated) -> None:
        """Note a kernel that came into a slot without a race too: somebody loaded it."""
        key = (event.layer_name, event.mode.value)
        self.open.setdefault(key, self._entry(event.layer_name, event.blueprint, event.step))

    def end(self, event: SeedFossilized | SeedCulled) -> None:
        """Close what was grafted in the layer."""
        report, is_kept = event.report, isinstance(event, SeedFossilized)
        outcome = AdaptationOutcome.FOSSILIZED if is_kept else AdaptationOutcome.CULLED
        measured = (
            {}
            if report is None
            else {"gain": report.gain, "ci_low": report.ci_low, "ci_high": report.ci_high}
        )
        is_born = is_kept and self.run.grown.get(event.layer_name) == self.kernel_id
        if is_born:
            key = (event.layer_name, "")
            self.open[key] = self._entry(event.layer_name, event.blueprint, event.step)
        for key in [key for key in self.open if key[0] == event.layer_name]:
            told = outcome if report is None else report.outcome
            self._close(key, event.step, outcome=told.value, **measured)

    def _entry(
        self, layer_name: str, candidate: str, step: int, **measured: float | None
    ) -> KernelHistoryEntry:
        return KernelHistoryEntry(
            kernel_id=self.kernel_id,
            run_id=self.run.run_id,
            run_name=self.run.name,
            layer_name=layer_name,
            candidate=candidate,
            role="entered" if self.kernel_id in self.run.entered else "grown",
            outcome=RACING,
            step=step,
            **measured,
        )

    def _close(self, key: tuple[str, str], step: int, **told: object) -> None:
        self.closed.append(self.open.pop(key).model_copy(update={"step": step, **told}))
