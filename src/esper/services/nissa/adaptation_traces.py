"""AdaptationTracer: makes one trace of each adaptation out of the lines that tell of it.

::

    adaptation           from the first health signal after the adaptation before, to the verdict
    ├── race             from its start to its decision
    │   └── rung         one for each mark: from the mark before
    └── graft            from its start to the verdict

Spans have the times at which the lines were sent. An adaptation is passed on once its verdict is
known and a moment has gone by, because lines come over several topics, in any order.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from esper.contracts.enums import Verdict
from esper.contracts.events import (
    AdaptationDecided,
    AnyEvent,
    CommandCarriedOut,
    CommandRefused,
    Event,
    GraftStarted,
    HealthMeasured,
    RaceDecided,
    RaceStarted,
    RungFinished,
    SeedCulled,
    SeedFossilized,
    VerdictReached,
)
from esper.contracts.growth import CandidateStanding
from esper.contracts.records import AnyRecord
from esper.contracts.runs import StoredLine
from esper.utils.spans import Attributes, Span, SpanEvent, Spans, child_of, root_of

_LINGER_SECONDS: Final = 2.0
"""How long lines may be late, once the verdict is known."""
_MOST: Final = 500
"""Adaptations under way; of more, the oldest are given up."""

_OF_NO_ADAPTATION: Final = (CommandCarriedOut, CommandRefused)

_Moment = tuple[float, AnyRecord | AnyEvent]


@dataclass
class _Adaptation:
    run_id: str
    lines: dict[int, _Moment] = field(default_factory=dict)
    """By position in the log."""
    over_since: float | None = None
    """When its verdict came in."""


class AdaptationTracer:
    """Gathers lines by trace, and passes on the traces that are over.

    Args:
        spans: Where they go.
    """

    def __init__(self, spans: Spans) -> None:
        self._spans = spans
        self._open: OrderedDict[str, _Adaptation] = OrderedDict()

    def follow(
        self, run_id: str, line: StoredLine, record: AnyRecord | AnyEvent, *, now: float
    ) -> None:
        """Take a line of a run; lines that tell of no adaptation are passed over."""
        if not isinstance(record, Event) or isinstance(record, _OF_NO_ADAPTATION):
            return
        adaptation = self._open.setdefault(line.trace_id, _Adaptation(run_id))
        adaptation.lines[line.position] = (line.at.timestamp(), record)
        if isinstance(record, VerdictReached) and record.decision.verdict is not Verdict.GRAFT:
            adaptation.over_since = now
        if len(self._open) > _MOST:
            self._open.popitem(last=False)

    def recall(self, run_id: str, line: StoredLine, record: AnyRecord | AnyEvent) -> None:
        """Take a line that was followed before; what is over by it was passed on then."""
        if self._is_over(line.trace_id):
            return
        self.follow(run_id, line, record, now=0.0)
        if self._is_over(line.trace_id):
            del self._open[line.trace_id]

    def forget(self, run_id: str) -> None:
        """Let go of what is under way in a run; what is over only waits for its late lines."""
        for trace_id, known in list(self._open.items()):
            if known.run_id == run_id and known.over_since is None:
                del self._open[trace_id]

    def tick(self, now: float) -> None:
        """Pass on the adaptations that have been over for a moment."""
        for trace_id, adaptation in list(self._open.items()):
            since = adaptation.over_since
            if since is not None and now - since >= _LINGER_SECONDS:
                self._pass_on(trace_id, adaptation)

    def close(self) -> None:
        """Pass on everything that is over, and let go of the rest."""
        for trace_id, adaptation in list(self._open.items()):
            if adaptation.over_since is not None:
                self._pass_on(trace_id, adaptation)
        self._spans.close()

    def _is_over(self, trace_id: str) -> bool:
        known = self._open.get(trace_id)
        return known is not None and known.over_since is not None

    def _pass_on(self, trace_id: str, adaptation: _Adaptation) -> None:
        del self._open[trace_id]
        moments = [adaptation.lines[position] for position in sorted(adaptation.lines)]
        for span in spans_of(trace_id, adaptation.run_id, moments):
            self._spans.record(span)


def spans_of(trace_id: str, run_id: str, moments: list[_Moment]) -> list[Span]:
    """Return the spans of an adaptation, its root last; pure.

    Args:
        trace_id: Of the adaptation.
        run_id: The run.
        moments: Its lines in the order of the log, each with the time at which it was sent.
    """
    spans: list[Span] = []
    race: tuple[float, RaceStarted] | None = None
    graft: tuple[float, GraftStarted] | None = None
    mark = 0.0
    for at, record in moments:
        if isinstance(record, RaceStarted):
            race, mark = (at, record), at
        elif isinstance(record, RungFinished) and race is not None:
            spans.append(_rung(trace_id, mark, at, record))
            mark = at
        elif isinstance(record, RaceDecided) and race is not None:
            spans.append(_race(trace_id, race, at, record))
            race = None
        elif isinstance(record, GraftStarted):
            graft = (at, record)
        elif graft is not None and isinstance(record, SeedFossilized | SeedCulled):
            spans.append(_graft(trace_id, graft, at, record))
            graft = None
    spans.append(_root(trace_id, run_id, moments))
    return spans


def _root(trace_id: str, run_id: str, moments: list[_Moment]) -> Span:
    attributes: dict[str, str | int | float | bool] = {"esper.run_id": run_id}
    events = []
    for at, record in moments:
        if isinstance(record, HealthMeasured):
            events.append(_event("health measured", at, {"esper.step": record.step}))
        elif isinstance(record, AdaptationDecided):
            reason = record.decision.reason
            events.append(_event("adaptation decided", at, _why(record.step, reason)))
        elif isinstance(record, VerdictReached):
            verdict, decision = record.decision.verdict, record.decision
            events.append(_event(f"verdict: {verdict}", at, _why(record.step, decision.reason)))
            attributes["esper.verdict"] = verdict
            if decision.candidate is not None:
                attributes |= _candidate(decision.candidate)
        elif isinstance(record, SeedFossilized | SeedCulled):
            what = "fossilized" if isinstance(record, SeedFossilized) else "culled"
            events.append(_event(what, at, {"esper.layer": record.layer_name}))
    return Span(
        name="adaptation",
        context=root_of(trace_id),
        parent=None,
        began=min(at for at, _ in moments),
        ended=max(at for at, _ in moments),
        attributes=attributes,
        events=events,
    )


def _race(
    trace_id: str, began: tuple[float, RaceStarted], ended: float, decided: RaceDecided
) -> Span:
    at, started = began
    attributes: dict[str, str | int | float | bool] = {
        "esper.race": started.race,
        "esper.step": started.step,
        "esper.layers": ", ".join(started.layers),
        "esper.candidates": len(started.candidates),
        "esper.reason": decided.reason,
    }
    if decided.winner is not None:
        attributes |= _candidate(decided.winner)
    return Span(
        name="race",
        context=child_of(trace_id, "race", str(started.race)),
        parent=root_of(trace_id),
        began=at,
        ended=ended,
        attributes=attributes,
    )


def _rung(trace_id: str, began: float, ended: float, rung: RungFinished) -> Span:
    survivors = sum(standing.survived for standing in rung.standings)
    return Span(
        name="rung",
        context=child_of(trace_id, "rung", str(rung.race), str(rung.rung)),
        parent=child_of(trace_id, "race", str(rung.race)),
        began=began,
        ended=ended,
        attributes={
            "esper.race": rung.race,
            "esper.rung": rung.rung,
            "esper.step": rung.step,
            "esper.candidates": len(rung.standings),
            "esper.survivors": survivors,
        },
    )


def _graft(
    trace_id: str,
    began: tuple[float, GraftStarted],
    ended: float,
    end: SeedFossilized | SeedCulled,
) -> Span:
    at, started = began
    return Span(
        name="graft",
        context=child_of(trace_id, "graft", started.layer_name, str(started.seed_idx)),
        parent=root_of(trace_id),
        began=at,
        ended=ended,
        attributes={
            "esper.layer": started.layer_name,
            "esper.slot": started.seed_idx,
            "esper.blueprint": started.blueprint,
            "esper.step": started.step,
            "esper.outcome": "fossilized" if isinstance(end, SeedFossilized) else "culled",
        },
    )


def _candidate(candidate: CandidateStanding) -> Attributes:
    return {"esper.candidate": candidate.candidate, "esper.layer": candidate.layer_name}


def _why(step: int, reason: str) -> Attributes:
    return {"esper.step": step, "esper.reason": reason}


def _event(name: str, at: float, attributes: Attributes) -> SpanEvent:
    return SpanEvent(name=name, at=at, attributes=attributes)
