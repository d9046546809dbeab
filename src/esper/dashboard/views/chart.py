"""Charts: what the browser draws, as plain data. How it looks is `charts.js`'s business."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from esper.contracts.enums import SeedState
from esper.contracts.events import Event, GraftStarted, SeedCulled, SeedFossilized, SeedIsolated
from esper.contracts.runs import Curve, RunSummary
from esper.dashboard.views.picture import RunPicture
from esper.report import wording


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One of the figures that a run's chart can show."""

    key: str
    """In addresses."""
    title: str
    """For people; `{metric}` is the name of the run's metric."""
    curves: Sequence[tuple[str, str, str]]
    """Name in the store, name in the legend, and role, which decides the colour."""
    log: bool = False
    """Whether its axis is logarithmic."""
    unit: str = ""
    """Behind the numbers."""


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
        log=True,
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

HEALTH: Final[Sequence[tuple[str, str]]] = (
    ("health_score", "Health score: 1 is well"),
    ("dead_neuron_ratio", "Units that no longer vary, as a share"),
    ("gradient_norm", "Gradient norm"),
    ("activation_variance", "Activation variance"),
    ("effective_rank", "Effective rank of the activations"),
    ("update_ratio", "Size of an update against the weights"),
    ("gradient_snr", "Gradient signal against noise"),
    ("execution_latency", "Forward time, µs"),
)
"""Measurements of a layer's health and what they are, the most telling first."""


def figure(key: str | None) -> Figure:
    """Return the figure of that key; the first where there is none."""
    return next((one for one in FIGURES if one.key == key), FIGURES[0])


def run_chart(picture: RunPicture, shown: Figure, curves: Sequence[Curve]) -> dict[str, Any]:
    """Return a run's curves with its growth events.

    Args:
        picture: The run.
        shown: Which figure.
        curves: As many as the figure has, in its order.
    """
    metric = picture.summary.metric
    series = [
        series_of(curve, name.format(metric=metric), role)
        for curve, (_, name, role) in zip(curves, shown.curves, strict=True)
    ]
    return {
        "title": title(shown, metric),
        "series": [one for one in series if one["points"]],
        "percent": shown.key == "metric" and wording.is_percentage(metric),
        "log": shown.log,
        "unit": shown.unit,
        "end": max(picture.summary.total_steps, picture.summary.step),
        "races": [
            {"from": race.start, "to": _race_end(picture, race.index, race.end)}
            for race in picture.growth.races
        ],
        "marks": [mark for event in picture.events for mark in _marks(event)],
    }


def title(shown: Figure, metric: str) -> str:
    """Return a figure's name for people."""
    return (shown.title.format(metric=metric)).capitalize()


def series_of(curve: Curve, name: str, role: str) -> dict[str, Any]:
    """Return one curve as the browser takes it: a gap where a value was not finite."""
    return {
        "name": name,
        "role": role,
        "points": list(zip(curve.steps, curve.values, strict=True)),
        "held": curve.points,
    }


def comparison_chart(
    shown: Figure, runs: Sequence[RunSummary], curves: Sequence[Curve]
) -> dict[str, Any]:
    """Return the same curve of several runs; `curves` has one for each run."""
    metric = runs[0].metric if runs else "metric"
    return {
        "title": title(shown, metric),
        "series": [
            series_of(curve, run_label(run), f"run{number}")
            for number, (run, curve) in enumerate(zip(runs, curves, strict=True))
        ],
        "percent": shown.key == "metric" and wording.is_percentage(metric),
        "log": shown.log,
        "unit": shown.unit,
        "end": max((run.total_steps for run in runs), default=0),
        "races": [],
        "marks": [],
    }


def run_label(run: RunSummary) -> str:
    """Return a run's name, with what tells it apart from others of that name."""
    seed = "" if run.seed is None else f" seed {run.seed}"
    return f"{run.name}{seed} · {run.run_id[:8]}"


def _race_end(picture: RunPicture, index: int, end: int) -> int:
    race = picture.open_race
    return picture.summary.step if race is not None and race.index == index else end


def _marks(event: Event) -> list[dict[str, Any]]:
    if isinstance(event, GraftStarted):
        kind, label = SeedState.GRAFTING, f"{event.blueprint} into “{event.layer_name}”"
    elif isinstance(event, SeedFossilized):
        kind, label = SeedState.FOSSILIZED, "stays"
    elif isinstance(event, SeedCulled):
        kind, label = SeedState.CULLED, "taken out"
    elif isinstance(event, SeedIsolated):
        kind, label = SeedState.CULLED, "bypassed"
    else:
        return []
    return [{"step": event.step, "kind": kind.value, "label": label}]
