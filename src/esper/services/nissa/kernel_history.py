"""Kernel history: what one kernel did in one run. Pure: the run's events in the order of its log go in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from esper.contracts.enums import AdaptationOutcome
from esper.contracts.events import (
    AnyEvent,
    RaceDecided,
    RaceStarted,
    RungFinished,
    SeedCulled,
    SeedFossilized,
    SeedGerminated,
)
from esper.contracts.growth import CandidateStanding
from esper.contracts.runs import KernelHistoryEntry

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
