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

import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from esper.contracts.enums import Verdict
from esper.contracts.events import (
    AdaptationDecided,
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
from esper.contracts.records import LogEntry
from esper.contracts.runs import StoredLine
from esper.utils.spans import Attributes, Span, SpanContext, SpanEvent, Spans, child_of, root_of

_LINGER_SECONDS: Final = 2.0
"""How long lines may be late, once the verdict is known."""
_MOST: Final = 500
"""Adaptations under way; of more, the oldest are given up."""

_OF_NO_ADAPTATION: Final = (CommandCarriedOut, CommandRefused)

_Moment = tuple[float, LogEntry]


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
        spans: Where they go; None gathers nothing.
    """

    def __init__(self, spans: Spans | None) -> None:
        self._spans = spans
        self._open: OrderedDict[str, _Adaptation] = OrderedDict()

    def follow(self, run_id: str, line: StoredLine, record: LogEntry, *, now: float) -> None:
        """Take a line of a run; lines that tell of no adaptation are passed over."""
        tells = isinstance(record, Event) and not isinstance(record, _OF_NO_ADAPTATION)
        if self._spans is None or not tells:
            return
        adaptation = self._open.setdefault(line.trace_id, _Adaptation(run_id))
        adaptation.lines[line.position] = (line.at.timestamp(), record)
        if isinstance(record, VerdictReached) and record.decision.verdict is not Verdict.GRAFT:
            adaptation.over_since = now
        if len(self._open) > _MOST:
            self._open.popitem(last=False)

    def recall(self, run_id: str, line: StoredLine, record: LogEntry) -> None:
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
        for trace_id, known in list(self._open.items()):
            if known.over_since is not None and now - known.over_since >= _LINGER_SECONDS:
                moments = [known.lines[position] for position in sorted(known.lines)]
                for span in spans_of(trace_id, known.run_id, moments):
                    if self._spans is not None:
                        self._spans.record(span)
                del self._open[trace_id]

    def close(self) -> None:
        """Pass on everything that is over, and let go of the rest."""
        self.tick(math.inf)
        if self._spans is not None:
            self._spans.close()

    def _is_over(self, trace_id: str) -> bool:
        known = self._open.get(trace_id)
        return known is not None and known.over_since is not None


def spans_of(trace_id: str, run_id: str, moments: Sequence[_Moment]) -> list[Span]:
    """Return the spans of an adaptation, its root last; pure.

    Args:
        trace_id: Of the adaptation.
        run_id: The run.
        moments: Its lines in the order of the log, each with the time at which it was sent.
    """
    spans: list[Span] = []
    root = root_of(trace_id)
    race: tuple[float, RaceStarted] | None = None
    graft: tuple[float, GraftStarted] | None = None
    mark = 0.0
    for at, record in moments:
        if isinstance(record, RaceStarted):
            race, mark = (at, record), at
        elif isinstance(record, RungFinished) and race is not None:
            context = child_of(trace_id, "rung", str(record.race), str(record.rung))
            parent = child_of(trace_id, "race", str(record.race))
            spans.append(_span("rung", context, parent, (mark, at), _of_rung(record)))
            mark = at
        elif isinstance(record, RaceDecided) and race is not None:
            began, started = race
            context = child_of(trace_id, "race", str(started.race))
            spans.append(_span("race", context, root, (began, at), _of_race(started, record)))
            race = None
        elif isinstance(record, GraftStarted):
            graft = (at, record)
        elif graft is not None and isinstance(record, SeedFossilized | SeedCulled):
            began, blended = graft
            context = child_of(trace_id, "graft", blended.layer_name, str(blended.seed_idx))
            spans.append(_span("graft", context, root, (began, at), _of_graft(blended, record)))
            graft = None
    times = [at for at, _ in moments]
    told = _of_adaptation(run_id, moments)
    spans.append(_span("adaptation", root, None, (min(times), max(times)), told, _events(moments)))
    return spans


def _span(
    name: str,
    context: SpanContext,
    parent: SpanContext | None,
    times: tuple[float, float],
    attributes: Attributes,
    events: Sequence[SpanEvent] = (),
) -> Span:
    return Span(
        name=name,
        context=context,
        parent=parent,
        began=times[0],
        ended=times[1],
        attributes=attributes,
        events=events,
    )


def _of_rung(rung: RungFinished) -> Attributes:
    return {
        "esper.race": rung.race,
        "esper.rung": rung.rung,
        "esper.step": rung.step,
        "esper.candidates": len(rung.standings),
        "esper.survivors": sum(standing.survived for standing in rung.standings),
    }


def _of_race(started: RaceStarted, decided: RaceDecided) -> Attributes:
    return {
        "esper.race": started.race,
        "esper.step": started.step,
        "esper.layers": ", ".join(started.layers),
        "esper.candidates": len(started.candidates),
        "esper.reason": decided.reason,
        **_candidate(decided.winner),
    }


def _of_graft(started: GraftStarted, end: SeedFossilized | SeedCulled) -> Attributes:
    return {
        "esper.layer": started.layer_name,
        "esper.slot": started.seed_idx,
        "esper.blueprint": started.blueprint,
        "esper.step": started.step,
        "esper.outcome": _outcome(end),
    }


def _of_adaptation(run_id: str, moments: Sequence[_Moment]) -> Attributes:
    attributes: dict[str, str | int | float | bool] = {"esper.run_id": run_id}
    for _, record in moments:
        if isinstance(record, VerdictReached):
            attributes["esper.verdict"] = record.decision.verdict
            attributes |= _candidate(record.decision.candidate)
    return attributes


def _events(moments: Sequence[_Moment]) -> list[SpanEvent]:
    """Return what happened in an adaptation besides races and grafts."""
    events = []
    for at, record in moments:
        attributes: dict[str, str | int | float | bool] = {"esper.step": record.step}
        if isinstance(record, HealthMeasured):
            name = "health measured"
        elif isinstance(record, AdaptationDecided):
            name = "adaptation decided"
            attributes["esper.reason"] = record.decision.reason
        elif isinstance(record, VerdictReached):
            name = f"verdict: {record.decision.verdict}"
            attributes["esper.reason"] = record.decision.reason
        elif isinstance(record, SeedFossilized | SeedCulled):
            name, attributes = _outcome(record), {"esper.layer": record.layer_name}
        else:
            continue
        events.append(SpanEvent(name=name, at=at, attributes=attributes))
    return events


def _candidate(candidate: CandidateStanding | None) -> Attributes:
    if candidate is None:
        return {}
    return {"esper.candidate": candidate.candidate, "esper.layer": candidate.layer_name}


def _outcome(end: SeedFossilized | SeedCulled) -> str:
    return "fossilized" if isinstance(end, SeedFossilized) else "culled"
