"""Charts: which curves stand in one, over which steps, with what marked. `drawing.py` draws them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from esper.contracts.events import Event, GraftStarted, SeedCulled, SeedFossilized, SeedIsolated
from esper.contracts.runs import Curve, RunSummary
from esper.report import wording
from esper.report.run_account import RunAccount


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One of the figures that a run's chart can show."""

    key: str
    """In addresses."""
    title: str
    """For people; `{metric}` is the name of the run's metric."""
    curves: Sequence[tuple[str, str, str]]
    """Name as `Curve.name` has it, name in the legend, and role, which decides the colour."""
    is_log: bool = False
    """Whether its axis is logarithmic."""
    unit: str = ""
    """Behind the numbers."""

    def title_for(self, metric: str) -> str:
        """Its name for people."""
        return self.title.format(metric=metric).capitalize()


FIGURES: Final[Sequence[Figure]] = (
    Figure(
        key="metric",
        title="{metric}",
        curves=(("growth_metric", "{metric} on held-out data", "growth"),),
    ),
    Figure(
        key="loss",
        title="Loss",
        curves=(
            ("train_loss", "training loss", "train"),
            ("growth_loss", "held-out loss", "growth"),
        ),
        is_log=True,
    ),
    Figure(key="lr", title="Learning rate", curves=(("lr", "learning rate", "train"),)),
    Figure(
        key="speed",
        title="Step time",
        curves=(("step_seconds", "time of a step", "train"),),
        unit="s",
    ),
)
"""In the order in which they are offered; the first is shown at first."""

HEALTH: Final[Mapping[str, str]] = {
    "health_score": "Health score: 1 is well",
    "dead_neuron_ratio": "Units that no longer vary, as a share",
    "gradient_norm": "Gradient norm",
    "activation_variance": "Activation variance",
    "effective_rank": "Effective rank of the activations",
    "update_ratio": "Size of an update against the weights",
    "gradient_snr": "Gradient signal against noise",
    "execution_latency": "Forward time, µs",
}
"""Measurements of a layer's health and what they are, the most telling first."""


def figure(key: str | None) -> Figure:
    """Return the figure of that key; the first where there is none."""
    return next((one for one in FIGURES if one.key == key), FIGURES[0])


@dataclass(frozen=True)
class Box:
    """Sizes of a chart, in the units of its view."""

    width: float
    height: float
    left: float
    top: float
    right: float = 16
    bottom: float = 26
    ticks: int = 8
    """About how many labels the step axis has."""

    @property
    def inner(self) -> tuple[float, float]:
        """Width and height of what the axes enclose."""
        return self.width - self.left - self.right, self.height - self.top - self.bottom


LARGE: Final = Box(1060, 330, 58, 58)
SMALL: Final = Box(260, 130, 44, 8, ticks=3)


@dataclass(frozen=True, kw_only=True)
class Series:
    """One curve of a chart."""

    name: str
    role: str
    """The CSS variable that holds its colour."""
    curve: Curve


@dataclass(frozen=True, kw_only=True)
class Chart:
    """What a chart shows."""

    title: str
    series: Sequence[Series]
    span: tuple[int, int]
    """First and last step."""
    is_percent: bool = False
    is_log: bool = False
    unit: str = ""
    races: Sequence[tuple[int, int, str]] = ()
    """First step, last step, name."""
    marks: Sequence[tuple[int, str, str]] = ()
    """Changes of the model: step, role, words."""
    box: Box = LARGE


def run_chart(
    run: RunAccount, shown: Figure, curves: Mapping[str, Curve], span: tuple[int, int] | None = None
) -> Chart:
    """Return a run's curves of one figure with its races and changes of the model."""
    open_race = run.open_race
    races = [
        (race.start, run.step if open_race and race.index == open_race.index else race.end)
        for race in run.growth.races
    ]
    return Chart(
        title=shown.title_for(run.metric),
        series=[
            Series(name=name.format(metric=run.metric), role=role, curve=curves[key])
            for key, name, role in shown.curves
            if key in curves and curves[key].steps
        ],
        span=span or (0, max(run.total_steps, run.step, 1)),
        is_percent=shown.key == "metric" and run.is_percent,
        is_log=shown.is_log,
        unit=shown.unit,
        races=[(start, end, f"race {n}") for n, (start, end) in enumerate(races, start=1)],
        marks=[mark for event in run.events for mark in _marks(event)],
    )


def comparison_chart(shown: Figure, runs: Sequence[RunSummary], curves: Sequence[Curve]) -> Chart:
    """Return the same curve of several runs; `curves` has one for each run."""
    metric = runs[0].metric if runs else "metric"
    return Chart(
        title=shown.title_for(metric),
        series=[
            Series(name=run_label(run), role=f"run{number}", curve=curve)
            for number, (run, curve) in enumerate(zip(runs, curves, strict=True))
        ],
        span=(0, max([1, *(max(run.total_steps, run.step) for run in runs)])),
        is_percent=shown.key == "metric" and wording.is_percentage(metric),
        is_log=shown.is_log,
        unit=shown.unit,
    )


def health_charts(layer: str, curves: Mapping[str, Curve], end: int) -> Sequence[tuple[str, Chart]]:
    """Return a layer's health: those measurements that there are, each with its title."""
    found = [(said, curves.get(f"health/{layer}/{measure}")) for measure, said in HEALTH.items()]
    return [
        (
            said,
            Chart(
                title=said,
                series=[Series(name=said, role="train", curve=curve)],
                span=(0, max(end, 1)),
                box=SMALL,
            ),
        )
        for said, curve in found
        if curve is not None and any(value is not None for value in curve.values)
    ]


def run_label(run: RunSummary) -> str:
    """Return a run's name, with what tells it apart from others of that name."""
    seed = "" if run.seed is None else f" seed {run.seed}"
    return f"{run.name}{seed} · {run.run_id[:8]}"


def _marks(event: Event) -> list[tuple[int, str, str]]:
    match event:
        case GraftStarted():
            return [(event.step, "growth", f"{event.blueprint} into “{event.layer_name}”")]
        case SeedFossilized():
            return [(event.step, "grown", "permanent")]
        case SeedCulled():
            return [(event.step, "warning", "taken out")]
        case SeedIsolated():
            return [(event.step, "warning", "bypassed")]
        case _:
            return []
