"""The account of a run: every figure that terminal, report and dashboard give, from its log alone.

An account is a pure function of the log's lines, whether the run is over or goes on. While it
trains there is no growth report yet: one is put together from what was raced, decided and measured
so far, so that live and finished runs are told alike.

==================  =============================================================================
held-out data       the growth split, which no training step saw and every decision rests on
gain                share of the held-out loss that a kernel takes away: positive when it is better
just before growth  the last evaluation at or before the step of the first graft that stayed
==================  =============================================================================
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from esper.contracts.enums import RunState
from esper.contracts.events import (
    AnyEvent,
    Event,
    RaceDecided,
    RaceStarted,
    RungFinished,
    SeedFossilized,
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
from esper.contracts.runs import Impact
from esper.contracts.site import Site
from esper.report import findings, wording
from esper.report.findings import Graft
from esper.services.nissa.adaptations import impacts_of

Line = AnyRecord | AnyEvent
NO_COST = CostAccount(host=0.0, shadow=0.0, evaluation=0.0, static=0.0)


@dataclass(frozen=True, kw_only=True)
class RunAccount:
    """One run, as far as its lines tell."""

    lines: tuple[Line, ...]
    """In order; without points of the training curve and health signals, which are curves."""
    state: RunState
    """Where the run is."""
    newest_step: int = 0
    """Of all its lines, those that are not among `lines` too."""
    folder: str = ""
    """Where the run's folder is, on its own machine."""
    unread: int = 0
    """Lines that another version of Esper wrote, and that this one cannot read."""

    @property
    def is_live(self) -> bool:
        """Whether the run still trains, as far as is known."""
        return self.state is RunState.RUNNING

    @cached_property
    def start(self) -> RunStarted | None:
        """The run's first line; None where it is not there (yet)."""
        return next((line for line in self.lines if isinstance(line, RunStarted)), None)

    @property
    def host(self) -> HostRecord:
        """The model as it was given; empty where the run has not said."""
        return HostRecord(parameters=0) if self.start is None else self.start.host

    @cached_property
    def events(self) -> tuple[AnyEvent, ...]:
        """What happened, in order."""
        return tuple(line for line in self.lines if isinstance(line, Event))

    @cached_property
    def result(self) -> Mapping[str, Any]:
        """The trainer's closing figures; empty while the run goes on."""
        ends = [line for line in self.lines if isinstance(line, RunEnded)]
        return ends[-1].result if ends else {}

    @property
    def failure(self) -> str | None:
        """Why the run failed, if it did."""
        failed = [line.error for line in self.lines if isinstance(line, RunFailed)]
        return failed[-1] if failed and self.state is RunState.FAILED else None

    # What was trained ----------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """What was trained on what, as the trainer named it."""
        told = self.result.get("name") or (self.start.name if self.start else "")
        return str(told or self.folder.rstrip("/").rpartition("/")[2] or "run")

    @property
    def metric(self) -> str:
        """Name of the metric on held-out and test data."""
        return str(self.result.get("metric") or (self.start.metric if self.start else "metric"))

    @property
    def is_percent(self) -> bool:
        """Whether the metric is shown as a percentage."""
        return bool(self.result.get("percent", wording.is_percentage(self.metric)))

    @property
    def seed(self) -> int | None:
        """Of everything random in the run; None where the log does not say."""
        seed = self._config.get("seed")
        return seed if isinstance(seed, int) else None

    @property
    def grows(self) -> bool:
        """Whether the run was allowed to grow."""
        return bool(self._config.get("grow", True))

    @property
    def _config(self) -> Mapping[str, Any]:
        return self.start.config if self.start else {}

    @property
    def step(self) -> int:
        """The newest step that is known."""
        return max([self.newest_step, *(line.step for line in self.lines)])

    @property
    def total_steps(self) -> int:
        """Steps planned."""
        return self.start.total_steps if self.start else self.growth.total_steps

    def score(self, value: float | None) -> str:
        """A value of the metric in its form."""
        return wording.score(value, is_percent=self.is_percent)

    # What came of it -----------------------------------------------------------------------------

    @cached_property
    def growth(self) -> GrowthReport:
        """The growth record: the run's own once it is closed, and until then what is known.

        Its curve is that of the log, where the log has one: with evaluations made during a race.
        """
        closed = [line.report for line in self.lines if isinstance(line, GrowthClosed)]
        report = closed[-1] if closed else self._so_far()
        return report.model_copy(update={"curve": self._curve}) if self._curve else report

    @cached_property
    def grafts(self) -> Sequence[Graft]:
        """Every graft in the order in which it began, each with the decision that closed it."""
        return findings.grafts(self.growth)

    @property
    def kept(self) -> Sequence[Graft]:
        """The grafts whose kernels are in the model."""
        return [graft for graft in self.grafts if graft.stayed]

    @property
    def undone(self) -> Sequence[Graft]:
        """The grafts whose kernels were taken out again."""
        return [graft for graft in self.grafts if not graft.stayed]

    @property
    def impacts(self) -> Sequence[Impact]:
        """What was expected of each graft, and what it came to."""
        return impacts_of(self.events)

    @property
    def metric_before(self) -> float | None:
        """On held-out data just before growth; None where nothing grew or nobody measured."""
        if not self.kept:
            return None
        return findings.metric_at(self.growth, self.kept[0].chosen.step)

    @property
    def metric_now(self) -> float | None:
        """The newest on held-out data."""
        return findings.metric_at(self.growth, self.step)

    @property
    def test_metric(self) -> float | None:
        """Measured once, at the end, on data that no decision saw."""
        return self._result_figure("test_metric")

    @property
    def host_test_metric(self) -> float | None:
        """Of the same model trained without growth, where somebody measured it."""
        return self._result_figure("host_test_metric")

    @property
    def seconds(self) -> float | None:
        """Time spent training; None until the run has ended."""
        return self._result_figure("seconds")

    @property
    def compute(self) -> float | None:
        """All compute so far as a multiple of the static model's; None where it is not known."""
        return self.growth.cost.multiple if self.growth.cost.static else None

    @property
    def open_race(self) -> RaceRecord | None:
        """The race that is going on; None between races."""
        decided = {event.race for event in self.events if isinstance(event, RaceDecided)}
        races = [race for race in races_of(self.events) if race.index not in decided]
        return races[-1] if races and self.is_live else None

    def layer(self, name: str) -> LayerRecord | None:
        """Return a layer as it was given; None behind one, or where the run has not said."""
        if Site.of(name).behind:
            return None
        layers = self.host.layers or self.growth.before
        return next((layer for layer in layers if layer.name == name), None)

    def _result_figure(self, name: str) -> float | None:
        value = self.result.get(name)
        return float(value) if isinstance(value, int | float) else None

    @cached_property
    def _evaluations(self) -> Sequence[Evaluated]:
        return [line for line in self.lines if isinstance(line, Evaluated)]

    @cached_property
    def _curve(self) -> tuple[CurvePoint, ...]:
        fields = set(CurvePoint.model_fields)
        return tuple(
            CurvePoint.model_validate(line.model_dump(include=fields)) for line in self._evaluations
        )

    def _so_far(self) -> GrowthReport:
        costs = [line.cost for line in self._evaluations if line.cost is not None]
        sizes = [one.parameters for one in self.events if isinstance(one, SeedFossilized)]
        layers, start, result = self.host.layers, self.start, self.result
        before = int(result.get("parameters_before") or self.host.parameters)
        return GrowthReport(
            steps=self.step,
            total_steps=start.total_steps if start else int(result.get("total_steps") or 0),
            curve=(),
            races=races_of(self.events),
            decisions=tuple(e.decision for e in self.events if isinstance(e, VerdictReached)),
            cost=costs[-1] if costs else NO_COST,
            parameters_before=before,
            parameters_after=int(result.get("parameters_after") or (sizes or [before])[-1]),
            before=layers,
            after=layers,
            summary=str(result.get("summary") or ""),
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


def differences(settings: Sequence[Mapping[str, Any]]) -> dict[str, list[object]]:
    """Return the settings that are not the same in all runs, by dotted name, with each's value."""
    flat = [dict(_flat(one)) for one in settings]
    names = dict.fromkeys(name for one in flat for name in one)
    rows = {name: [one.get(name) for one in flat] for name in names}
    return {name: row for name, row in rows.items() if any(value != row[0] for value in row)}


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
