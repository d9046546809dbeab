"""The standings of a race, mark by mark, as they develop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from esper.contracts.events import RaceDecided, RaceStarted
from esper.contracts.growth import CandidateStanding, RaceRecord
from esper.contracts.site import Site
from esper.report import findings
from esper.report.run_account import RunAccount

_Way = dict[int, tuple[int, CandidateStanding]]
"""Rank and standing by mark."""


@dataclass(frozen=True, kw_only=True)
class Mark:
    """Where one candidate stood at one mark."""

    rank: int
    """1 is the best."""
    standing: CandidateStanding
    bar: float
    """Length of its bar, from 0 to 1: its gain as a part of the largest in the race."""


@dataclass(frozen=True, kw_only=True)
class Runner:
    """One candidate's way through a race."""

    name: str
    standing: CandidateStanding
    """The newest."""
    marks: Sequence[Mark | None]
    """One for each mark so far; None once it was out."""
    outcome: str
    """`won`, `out`, `racing`, or `control`."""


@dataclass(frozen=True, kw_only=True)
class Race:
    """A whole race, as far as it has come."""

    number: int
    start: int
    end: int | None
    """Step at which it was decided; None while it goes on."""
    marks: Sequence[int]
    """Steps of the marks so far."""
    planned_marks: int
    layers: Sequence[str]
    entrants: int
    """Candidates, controls not counted."""
    flops: float
    """Compute that it used; 0 while nobody said."""
    reason: str
    """Why it came out so; empty while it goes on."""
    runners: Sequence[Runner]
    """Who came furthest comes first."""


def races(run: RunAccount) -> list[Race]:
    """Return every race of a run, the newest first."""
    started = {event.race: event for event in run.events if isinstance(event, RaceStarted)}
    decided = {event.race: event for event in run.events if isinstance(event, RaceDecided)}
    found = [
        _race(record, started.get(record.index), decided.get(record.index))
        for record in run.growth.races
    ]
    return found[::-1]


def _race(record: RaceRecord, started: RaceStarted | None, decided: RaceDecided | None) -> Race:
    winner = None if decided is None else decided.winner
    return Race(
        number=record.index + 1,
        start=record.start,
        end=record.end if decided is not None or started is None else None,
        marks=[rung.step for rung in record.rungs],
        planned_marks=len(record.rungs) if started is None else started.rungs,
        layers=list(dict.fromkeys(entrant.layer_name for entrant in record.entrants)),
        entrants=findings.candidates(record.entrants),
        flops=record.flops,
        reason="" if decided is None else decided.reason,
        runners=_runners(record, winner, over=decided is not None),
    )


def _runners(record: RaceRecord, winner: CandidateStanding | None, *, over: bool) -> list[Runner]:
    known = {standing.identity: standing for standing in record.entrants}
    places: dict[Any, _Way] = {who: {} for who in known}
    for mark, rung in enumerate(record.rungs):
        for rank, standing in enumerate(rung.standings, start=1):
            known[standing.identity] = standing
            places.setdefault(standing.identity, {})[mark] = (rank, standing)
    gains = [s.net_gain or 0.0 for way in places.values() for _, s in way.values()]
    largest = max([*gains, 1e-9])
    ways = sorted(places.items(), key=lambda item: _order(item[1]))
    return [
        Runner(
            name=_name(known[who]),
            standing=known[who],
            marks=[_mark(way.get(mark), largest) for mark in range(len(record.rungs))],
            outcome=_outcome(known[who], winner, way, len(record.rungs), over=over),
        )
        for who, way in ways
    ]


def _order(way: _Way) -> tuple[int, int]:
    """Who came furthest first, and of those who came equally far the best."""
    if not way:
        return (0, 0)
    last = max(way)
    return (-last - 1, way[last][0])


def _mark(place: tuple[int, CandidateStanding] | None, largest: float) -> Mark | None:
    if place is None:
        return None
    rank, standing = place
    bar = min(max((standing.net_gain or 0.0) / largest, 0.0), 1.0)
    return Mark(rank=rank, standing=standing, bar=bar)


def _name(standing: CandidateStanding) -> str:
    if not findings.is_control(standing):
        return standing.title
    return Site.of(standing.layer_name).control.removeprefix("a ")


def _outcome(
    standing: CandidateStanding,
    winner: CandidateStanding | None,
    way: _Way,
    marks: int,
    *,
    over: bool,
) -> str:
    if winner is not None and standing.identity == winner.identity:
        return "won"
    if findings.is_control(standing):
        return "control"
    still_in = not marks or ((marks - 1) in way and way[marks - 1][1].survived)
    return "racing" if still_in and not over else "out"
