"""Learning curves: loss and growth metric over the steps, with everything that happened marked."""

from __future__ import annotations

from functools import partial

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from esper.report import findings, wording
from esper.report.canvas import Drawing, percent_ticks, plain_axes, step_ticks
from esper.report.palette import Palette
from esper.report.run_folder import RunRecord

SMOOTHING_SPAN = 0.02
"""Share of the run over which the training loss is averaged."""
LOG_RANGE = 30.0
"""Losses that span a larger factor than this are drawn on a logarithmic axis."""


def learning_curves(run: RunRecord) -> Drawing:
    """Draw the run's curves."""
    return Drawing(
        name="learning-curves",
        title=f"Training loss, growth-split loss and growth-split {run.metric} over the steps",
        width=9.4,
        height=5.6,
        draw=partial(_draw, run),
    )


def verdict_colour(verdict: str, palette: Palette) -> str:
    """The colour of a verdict; the text beside it says the same."""
    if verdict in (findings.GRAFT, findings.FOSSILISE):
        return palette.grown
    return palette.warning if verdict in findings.UNDOING else palette.muted


def _draw(run: RunRecord, figure: Figure, palette: Palette) -> None:
    top, bottom = figure.subplots(
        2, 1, sharex=True, gridspec_kw={"height_ratios": [3, 2.4], "hspace": 0.2}
    )
    figure.subplots_adjust(left=0.07, right=0.865, top=0.9, bottom=0.09)
    for axes in (top, bottom):
        plain_axes(axes, palette)
        step_ticks(axes)
        axes.set_xlim(0, max(run.growth.steps, 1))
    _loss(run, top, palette)
    _metric(run, bottom, palette)
    for axes in (top, bottom):
        _races(run, axes, palette)
    _decisions(run, top, bottom, palette)
    bottom.set_xlabel("optimizer step", color=palette.muted, fontsize=9)


def _loss(run: RunRecord, axes: Axes, palette: Palette) -> None:
    steps, raw = [p.step for p in run.steps], [p.train_loss for p in run.steps]
    if not steps:
        known = [(p.step, p.train_loss) for p in run.growth.curve if p.train_loss is not None]
        steps, raw = [step for step, _ in known], [loss for _, loss in known]
    smooth = _smoothed(raw)
    held = [(p.step, p.growth_loss) for p in run.growth.curve if p.growth_loss is not None]
    if raw:
        axes.plot(steps, raw, color=palette.train, alpha=0.25, linewidth=0.8)
        axes.plot(steps, smooth, color=palette.train, linewidth=1.6)
    if held:
        axes.plot(*zip(*held, strict=True), color=palette.growth, linewidth=2.0)
    values = [v for v in [*smooth, *(loss for _, loss in held)] if v > 0]
    if values and max(values) / min(values) > LOG_RANGE:
        axes.set_yscale("log")
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ends = [("training", smooth[-1], palette.train)] if smooth else []
    ends += [("growth split", held[-1][1], palette.growth)] if held else []
    _end_labels(axes, run.growth.steps, [(n, v, wording.loss(v), c) for n, v, c in ends])
    _panel_title(axes, "Loss", palette)


def _metric(run: RunRecord, axes: Axes, palette: Palette) -> None:
    held = [(p.step, p.growth_metric) for p in run.growth.curve if p.growth_metric is not None]
    if held:
        axes.plot(*zip(*held, strict=True), color=palette.growth, linewidth=2.0)
        value = held[-1][1]
        label = ("growth split", value, run.score(value), palette.growth)
        _end_labels(axes, run.growth.steps, [label])
    if run.percent:
        percent_ticks(axes)
    _panel_title(axes, run.metric[:1].upper() + run.metric[1:], palette)


def _panel_title(axes: Axes, text: str, palette: Palette) -> None:
    axes.annotate(
        text,
        xy=(0, 1),
        xycoords="axes fraction",
        xytext=(0, 5),
        textcoords="offset points",
        va="bottom",
        color=palette.ink,
        weight="bold",
        fontsize=10,
    )


def _races(run: RunRecord, axes: Axes, palette: Palette) -> None:
    for race in run.growth.races:
        axes.axvspan(race.start, race.end, color=palette.band, linewidth=0, zorder=0)


def _decisions(run: RunRecord, top: Axes, bottom: Axes, palette: Palette) -> None:
    """A line through both panels for each decision; its number is that of the list below it."""
    placed: list[float] = []
    span = max(run.growth.steps, 1)
    for number, decision in enumerate(run.growth.decisions, start=1):
        colour = verdict_colour(decision.verdict, palette)
        for axes in (top, bottom):
            axes.axvline(decision.step, color=colour, linewidth=1.2, linestyle=(0, (3, 2)))
        near = sum(abs(decision.step - other) < 0.035 * span for other in placed)
        placed.append(decision.step)
        top.annotate(
            str(number),
            xy=(decision.step, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(0, 10 + 19 * min(near, 2)),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=9,
            weight="bold",
            color=palette.paper,
            bbox={"boxstyle": "circle,pad=0.28", "facecolor": colour, "edgecolor": "none"},
            annotation_clip=False,
        )


def _end_labels(axes: Axes, steps: int, ends: list[tuple[str, float, str, str]]) -> None:
    """Name each line at its end, and keep two names apart that would overlap."""
    lift = 0
    if len(ends) == 2:
        scale = axes.transData.transform
        (_, first, _, _), (_, second, _, _) = ends
        gap = scale((0, second))[1] - scale((0, first))[1]
        lift = 13 if abs(gap) < 0.3 * axes.figure.dpi else 0
        lift = -lift if gap < 0 else lift
    for position, (name, value, written, colour) in enumerate(ends):
        offset = 0 if lift == 0 else (lift if position == 1 else -lift)
        axes.annotate(
            f"{name}\n{written}",
            xy=(steps, value),
            xytext=(8, offset),
            textcoords="offset points",
            color=colour,
            fontsize=9,
            va="center",
            linespacing=1.35,
            annotation_clip=False,
        )


def _smoothed(values: list[float]) -> list[float]:
    """Exponential moving average without the start-up bias (Kingma & Ba 2015, section 3)."""
    mean, weight, out = 0.0, 0.0, []
    past = 1 - 1 / max(1.0, SMOOTHING_SPAN * len(values))
    for value in values:
        mean = past * mean + (1 - past) * value
        weight = past * weight + (1 - past)
        out.append(mean / weight)
    return out
