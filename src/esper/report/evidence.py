"""The evidence for each decision: the measured gain with its interval, beside zero and the rent."""

from __future__ import annotations

from functools import partial

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from esper.contracts.growth import Evidence, GrowthDecision
from esper.report import findings, wording
from esper.report.canvas import Drawing, percent_ticks, plain_axes
from esper.report.curves import verdict_colour
from esper.report.palette import Palette
from esper.report.run_folder import RunRecord

ROW = 0.62
"""Inches for one decision."""


def counterfactuals(run: RunRecord) -> Drawing | None:
    """Draw every decision that rests on evidence; None when there is none."""
    rows = [
        (number, decision)
        for number, decision in enumerate(run.growth.decisions, start=1)
        if decision.evidence is not None
    ]
    if not rows:
        return None
    return Drawing(
        name="evidence",
        title="Held-out gain of each candidate that was decided upon, with its interval",
        width=9.4,
        height=0.75 + ROW * len(rows),
        draw=partial(_draw, rows),
    )


def _draw(rows: list[tuple[int, GrowthDecision]], figure: Figure, palette: Palette) -> None:
    height = figure.get_size_inches()[1]
    axes = figure.add_axes((0.27, 0.5 / height, 0.6, 1 - 0.62 / height))
    plain_axes(axes, palette, grid="x")
    percent_ticks(axes, axis="x", signed=True)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_yticks([])
    axes.axvline(0, color=palette.ink, linewidth=1.0)
    for row, (number, decision) in enumerate(rows):
        _decision(axes, row, number, decision, palette)
    axes.margins(x=0.06)
    axes.set_xlabel(
        "share of the held-out loss that it takes away", color=palette.muted, fontsize=9
    )


def _decision(
    axes: Axes, row: int, number: int, decision: GrowthDecision, palette: Palette
) -> None:
    assert decision.evidence is not None  # the caller leaves the others out
    colour = verdict_colour(decision.verdict, palette)
    _bar(axes, row - 0.08, decision.evidence, colour, palette)
    if decision.against_control is not None:
        _bar(axes, row + 0.24, decision.against_control, palette.control, palette, small=True)
    axes.plot(
        [decision.rent] * 2, [row - 0.3, row + 0.14], color=palette.ink, linewidth=1.4, zorder=4
    )
    what = (
        findings.blueprint(decision.candidate) if decision.candidate is not None else "no candidate"
    )
    head = f"{number}  {findings.outcome(decision)} at step {wording.count(decision.step)}"
    for text, shift, tone, weight in (
        (head, -0.2, colour, "bold"),
        (what, 0.14, palette.muted, "normal"),
    ):
        axes.text(
            -0.03,
            row + shift,
            text,
            transform=axes.get_yaxis_transform(),
            ha="right",
            va="center",
            color=tone,
            weight=weight,
            fontsize=9,
        )
    axes.text(
        1.02,
        row - 0.08,
        wording.signed_percent(decision.evidence.gain),
        transform=axes.get_yaxis_transform(),
        va="center",
        color=colour,
        weight="bold",
        fontsize=9.5,
    )


def _bar(
    axes: Axes,
    y: float,
    evidence: Evidence,
    colour: str,
    palette: Palette,
    *,
    small: bool = False,
) -> None:
    axes.plot(
        [evidence.ci_low, evidence.ci_high],
        [y, y],
        color=colour,
        linewidth=2.0 if small else 4.5,
        alpha=1.0 if small else 0.45,
        solid_capstyle="round",
    )
    axes.plot(
        [evidence.gain],
        [y],
        marker="D" if small else "o",
        markersize=5 if small else 8,
        color=colour,
        markeredgecolor=palette.paper,
        zorder=5,
    )
