"""A run as its lines tell it so far: the same record that a finished run's report is made from.

While a run trains there is no growth report yet. Here one is put together from what was raced,
decided and measured so far, so that every page speaks about live and finished runs alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from esper.contracts.enums import RunState
from esper.contracts.events import (
    AnyEvent,
    Event,
    RaceDecided,
    RaceStarted,
    RungFinished,
    VerdictReached,
)
from esper.contracts.growth import (
    CostAccount,
    CurvePoint,
    GrowthReport,
    LayerRecord,
    RaceRecord,
    RungRecord,
)
from esper.contracts.records import (
    AnyRecord,
    Evaluated,
    GrowthClosed,
    HostRecord,
    RunEnded,
    RunFailed,
    RunStarted,
)
from esper.contracts.runs import RunSummary
from esper.report.run_folder import RunRecord

Line = AnyRecord | AnyEvent
NO_COST = CostAccount(host=0.0, shadow=0.0, evaluation=0.0, static=0.0)


@dataclass(frozen=True, kw_only=True)
class RunPicture:
    """Everything that the pages about one run are made from."""

    summary: RunSummary
    lines: tuple[Line, ...]
    """The run's lines that matter to a page, in order; no points of the training curve, no health
    signals."""
    unread: int = 0
    """Lines that another version of Esper wrote, and that this one cannot read."""

    @property
    def live(self) -> bool:
        """Whether the run still trains, as far as is known."""
        return self.summary.state is RunState.RUNNING

    @cached_property
    def start(self) -> RunStarted | None:
        """The run's first line; None where the store does not have it (yet)."""
        return next((line for line in self.lines if isinstance(line, RunStarted)), None)

    @property
    def host(self) -> HostRecord:
        """The model as it was given; empty where the run has not said."""
        return HostRecord(parameters=0) if self.start is None else self.start.host

    @cached_property
    def events(self) -> tuple[Event, ...]:
        """What happened, in order."""
        return tuple(line for line in self.lines if isinstance(line, Event))

    @cached_property
    def result(self) -> Mapping[str, Any]:
        """The closing figures; empty while the run goes on."""
        ends = [line for line in self.lines if isinstance(line, RunEnded)]
        return ends[-1].result if ends else {}

    @property
    def failure(self) -> str | None:
        """Why the run failed, if it did."""
        failed = [line.error for line in self.lines if isinstance(line, RunFailed)]
        return failed[-1] if failed and self.summary.state is RunState.FAILED else None

    @cached_property
    def growth(self) -> GrowthReport:
        """The growth record: the run's own once it is closed, and until then what is known."""
        closed = [line.report for line in self.lines if isinstance(line, GrowthClosed)]
        return closed[-1] if closed else self._so_far()

    @cached_property
    def record(self) -> RunRecord:
        """The run as the report's sentences want it."""
        start = {} if self.start is None else self.start.model_dump(mode="json")
        return RunRecord(
            folder=Path(self.summary.folder or self.summary.name),
            growth=self.growth,
            result=self.result,
            start=start,
            steps=(),
            events=(),
        )

    @property
    def open_race(self) -> RaceRecord | None:
        """The race that is going on; None between races."""
        decided = {event.race for event in self.events if isinstance(event, RaceDecided)}
        races = [race for race in races_of(self.events) if race.index not in decided]
        return races[-1] if races and self.live else None

    def _so_far(self) -> GrowthReport:
        evaluated = [line for line in self.lines if isinstance(line, Evaluated)]
        costs = [line.cost for line in evaluated if line.cost is not None]
        layers = self.host.layers
        return GrowthReport(
            steps=self.summary.step,
            total_steps=self.summary.total_steps,
            curve=tuple(_point(line) for line in evaluated),
            races=races_of(self.events),
            decisions=tuple(e.decision for e in self.events if isinstance(e, VerdictReached)),
            cost=costs[-1] if costs else NO_COST,
            parameters_before=self.summary.parameters_before,
            parameters_after=self.summary.parameters_after,
            before=layers,
            after=layers,
            summary=self.summary.summary,
        )


def races_of(events: Sequence[Event]) -> tuple[RaceRecord, ...]:
    """Put races together from their events; what a host's loss was at a mark, they do not say."""
    races: dict[int, RaceRecord] = {}
    for event in events:
        if isinstance(event, RaceStarted):
            races[event.race] = RaceRecord(
                index=event.race,
                start=event.step,
                end=event.step,
                entrants=event.candidates,
                rungs=(),
                flops=0.0,
            )
        elif isinstance(event, RungFinished) and event.race in races:
            mark = RungRecord(
                step=event.step, host_loss=None, host_metric=None, standings=event.standings
            )
            race = races[event.race]
            races[event.race] = race.model_copy(
                update={"rungs": (*race.rungs, mark), "end": event.step}
            )
        elif isinstance(event, RaceDecided) and event.race in races:
            races[event.race] = races[event.race].model_copy(update={"end": event.step})
    return tuple(races.values())


def layer_of(picture: RunPicture, name: str) -> LayerRecord | None:
    """Return the layer as it was given; None where the run has not said."""
    return next((layer for layer in picture.host.layers if layer.name == name), None)


def _point(line: Evaluated) -> CurvePoint:
    return CurvePoint(
        step=line.step,
        train_loss=line.train_loss,
        growth_loss=line.growth_loss,
        growth_metric=line.growth_metric,
    )
