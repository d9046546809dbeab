"""The standings of a race: one line a candidate, one column a mark, the best on top."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from esper.contracts.enums import KernelMode
from esper.contracts.growth import CandidateStanding, RaceRecord
from esper.report import findings, wording
from esper.report.canvas import Drawing
from esper.report.palette import Palette

ROW = 0.27
"""Inches between two ranks."""
HEAD = 2.2
"""Ranks' worth of space for the column heads."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a candidate stood at one mark; rank 0 is the best."""

    mark: int
    rank: int
    standing: CandidateStanding


@dataclass(frozen=True, kw_only=True)
class Path:
    """A candidate's way through a race, from its first mark to its last."""

    places: tuple[Place, ...]
    won: bool

    @property
    def candidate(self) -> CandidateStanding:
        """Who it is, as last measured."""
        return self.places[-1].standing


def race_standings(race: RaceRecord, winner: CandidateStanding | None) -> Drawing:
    """Draw one race; `winner` is the candidate that was grafted, if any."""
    rows = max((len(rung.standings) for rung in race.rungs), default=1)
    return Drawing(
        name=f"race-{race.index + 1}",
        title=f"Standings of race {race.index + 1} at each of its {len(race.rungs)} marks",
        width=9.4,
        height=0.1 + ROW * (rows + HEAD),
        draw=partial(_draw, race, paths(race, winner)),
    )


def label(candidate: CandidateStanding) -> str:
    """A candidate's name and its layer, short enough for a margin."""
    joint = "→" if candidate.mode is KernelMode.REPLACING else "+"
    is_control = findings.is_control(candidate)
    name = "control (fresh copy)" if is_control else findings.blueprint(candidate)
    name = name if candidate.kernel_id is None else f"proven {name}"
    return f"{name} {joint} {candidate.layer_name}" if candidate.layer_name else name


def paths(race: RaceRecord, winner: CandidateStanding | None) -> list[Path]:
    """Every candidate's way through the race; who came furthest comes first."""
    found: dict[object, list[Place]] = {}
    for mark, rung in enumerate(race.rungs):
        for rank, standing in enumerate(rung.standings):
            place = Place(mark=mark, rank=rank, standing=standing)
            found.setdefault(standing.identity, []).append(place)
    ways = [
        Path(
            places=tuple(places),
            won=winner is not None and findings.same(places[-1].standing, winner),
        )
        for places in found.values()
    ]
    return sorted(ways, key=lambda way: (-way.places[-1].mark, way.places[-1].rank))


def score(standing: CandidateStanding) -> str:
    """What the race ranks by, in words: gain less rent, or that it blew up."""
    return "diverged" if standing.net_gain is None else wording.signed_percent(standing.net_gain)


def _draw(race: RaceRecord, ways: list[Path], figure: Figure, palette: Palette) -> None:
    axes = figure.add_axes((0.28, 0.0, 0.66, 1.0))
    axes.set_axis_off()
    marks = len(race.rungs)
    rows = max(len(rung.standings) for rung in race.rungs)
    axes.set_xlim(-0.06, max(marks - 1, 0.6) + 0.12)
    axes.set_ylim(rows - 0.4, -HEAD)
    for mark, rung in enumerate(race.rungs):
        head = f"step {wording.count(rung.step)}"
        axes.text(mark, -1.6, head, ha="center", color=palette.ink, weight="bold", fontsize=9.5)
        host = wording.MISSING if rung.host_loss is None else wording.loss(rung.host_loss)
        text = f"host loss {host}"
        axes.text(mark, -0.95, text, ha="center", color=palette.muted, fontsize=8.5)
    for way in reversed(ways):
        _line(axes, way, palette)
        _points(axes, way, palette, last=marks - 1)


def _colour(way: Path, palette: Palette) -> str:
    if way.won:
        return palette.grown
    return palette.control if findings.is_control(way.candidate) else palette.train


def _line(axes: Axes, way: Path, palette: Palette) -> None:
    is_control = findings.is_control(way.candidate)
    colour, first = _colour(way, palette), way.places[0]
    axes.plot(
        [place.mark for place in way.places],
        [place.rank for place in way.places],
        color=colour,
        linewidth=2.8 if way.won else 1.4,
        linestyle=(0, (4, 2)) if is_control else "-",
        zorder=4 if way.won else 2,
    )
    axes.text(
        first.mark - 0.05,
        first.rank,
        label(way.candidate),
        ha="right",
        va="center",
        color=colour if way.won or is_control else palette.ink,
        weight="bold" if way.won else "normal",
        fontsize=9,
    )


def _points(axes: Axes, way: Path, palette: Palette, *, last: int) -> None:
    colour = _colour(way, palette)
    for place in way.places:
        out = not place.standing.survived and not way.won
        axes.plot(
            [place.mark],
            [place.rank],
            marker="X" if out else "o",
            markersize=7,
            color=palette.declined if out else colour,
            markeredgecolor=palette.paper,
            markeredgewidth=0.8,
            zorder=5,
        )
        axes.text(
            place.mark + 0.03 * max(last, 0.8),
            place.rank,
            score(place.standing),
            va="center",
            color=colour if way.won else palette.muted,
            weight="bold" if way.won else "normal",
            fontsize=8.5,
            zorder=6,
            # Figures stand on the line, on a patch of paper that interrupts it.
            bbox={"facecolor": palette.paper, "edgecolor": "none", "pad": 1.2},
        )
