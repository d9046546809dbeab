"""The architecture before and after, side by side, as two columns of layers."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from esper.contracts.growth import GrowthReport, LayerRecord
from esper.report import wording
from esper.report.canvas import Drawing
from esper.report.layer_text import kernel_lines, layer_text
from esper.report.palette import Palette

MAX_BOXES = 16
"""Longer models are drawn with their unchanged stretches folded."""
COLUMN = 4.3
"""Width of a column, inches."""
GAP = 0.9
"""Between the columns, inches."""
LINE = 0.19
"""Height of a line of text, inches."""
DETAIL_CHARACTERS = 58
MAX_LINES = 12
"""Of text in one box."""


@dataclass(frozen=True, kw_only=True)
class Box:
    """One box of a column."""

    title: str
    lines: tuple[str, ...]
    note: str
    grown: bool = False
    """Stands for something that was added."""
    gone: bool = False
    """Stands for something that is not in the final model."""
    folded: bool = False
    """Stands for several layers that did not change."""

    @property
    def height(self) -> float:
        """Inches."""
        return 0.26 + LINE * (1 + len(self.lines))


def architectures(report: GrowthReport) -> Drawing | None:
    """Draw both columns; None when the record holds no layers."""
    if not report.before:
        return None
    before = column(report.before, report.after)
    after = column(report.after, report.before)
    height = 0.4 + max(sum(box.height + 0.2 for box in boxes) for boxes in (before, after))
    return Drawing(
        name="architecture",
        title=f"The model before: {_spoken(before)}. After: {_spoken(after)}.",
        width=9.6,
        height=height,
        draw=partial(_draw, report, before, after, height),
    )


def column(layers: Sequence[LayerRecord], other: Sequence[LayerRecord]) -> list[Box]:
    """The boxes of one column; a layer that `other` lacks is marked as grown or as gone."""
    known = {(layer.name, layer.kind, layer.detail) for layer in other}
    changed = [(layer.name, layer.kind, layer.detail) not in known for layer in layers]
    boxes: list[Box] = []
    quiet: list[LayerRecord] = []
    fold = len(layers) > MAX_BOXES
    for layer, differs in zip(layers, changed, strict=True):
        if fold and not differs and not layer.grown:
            quiet.append(layer)
            continue
        boxes.extend(_folded(quiet))
        quiet = []
        boxes.append(_box(layer, differs=differs))
    return [*boxes, *_folded(quiet)]


def _box(layer: LayerRecord, *, differs: bool) -> Box:
    details = kernel_lines(layer.detail) if layer.grown else [layer_text(layer)]
    lines = [piece for line in details for piece in textwrap.wrap(line, DETAIL_CHARACTERS)]
    if len(lines) > MAX_LINES:
        lines = [*lines[: MAX_LINES - 1], f"… and {len(lines) - MAX_LINES + 1} more"]
    return Box(
        title=f"{layer.name}  {layer.kind}".strip(),
        lines=tuple(lines),
        note=wording.compact(layer.parameters) if layer.parameters else "",
        grown=layer.grown,
        gone=differs and not layer.grown,
    )


def _folded(quiet: list[LayerRecord]) -> list[Box]:
    if len(quiet) < 3:
        return [_box(layer, differs=False) for layer in quiet]
    total = wording.compact(sum(layer.parameters for layer in quiet))
    span = f"{quiet[0].name} … {quiet[-1].name}"
    title = f"{len(quiet)} layers, unchanged"
    return [Box(title=title, lines=(span,), note=total, folded=True)]


def _spoken(boxes: list[Box]) -> str:
    return "; ".join(f"{box.title} {' '.join(box.lines)}".strip() for box in boxes)


def _draw(
    report: GrowthReport,
    before: list[Box],
    after: list[Box],
    height: float,
    figure: Figure,
    palette: Palette,
) -> None:
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(0, 9.6)
    axes.set_ylim(height, 0)
    left, right = 0.05, 0.05 + COLUMN + GAP
    heads = (
        (left, "Before", report.parameters_before),
        (right, "After", report.parameters_after),
    )
    for x, word, parameters in heads:
        axes.text(x, 0.22, word, color=palette.ink, weight="bold", fontsize=11.5, va="center")
        axes.text(
            x + COLUMN,
            0.22,
            f"{wording.count(parameters)} parameters",
            color=palette.muted,
            fontsize=9,
            ha="right",
            va="center",
        )
    tops = [_column(axes, x, boxes, palette) for x, boxes in ((left, before), (right, after))]
    _changes(
        axes,
        list(zip(before, tops[0], strict=True)),
        list(zip(after, tops[1], strict=True)),
        (left + COLUMN, right),
        palette,
    )


def _column(axes: Axes, x: float, boxes: list[Box], palette: Palette) -> list[float]:
    """Paint one column; returns the top edge of each box."""
    y, tops = 0.5, []
    for position, box in enumerate(boxes):
        tops.append(y)
        _paint(axes, x, y, box, palette)
        y += box.height
        if position < len(boxes) - 1:
            axes.annotate(
                "",
                xy=(x + 0.32, y + 0.19),
                xytext=(x + 0.32, y + 0.01),
                arrowprops={
                    "arrowstyle": "-|>",
                    "color": palette.muted,
                    "linewidth": 0.9,
                    "mutation_scale": 8,
                    "shrinkA": 0,
                    "shrinkB": 0,
                },
            )
        y += 0.2
    return tops


def _paint(axes: Axes, x: float, y: float, box: Box, palette: Palette) -> None:
    edge = palette.grown if box.grown else palette.warning if box.gone else palette.line
    axes.add_patch(
        FancyBboxPatch(
            (x, y),
            COLUMN,
            box.height,
            boxstyle="round,pad=0,rounding_size=0.07",
            facecolor=palette.grown_soft if box.grown else palette.panel,
            edgecolor=edge,
            linewidth=1.5 if box.grown or box.gone else 1.0,
            linestyle=(0, (4, 2)) if box.gone or box.folded else "-",
        )
    )
    first = y + 0.13 + LINE / 2
    tone = palette.muted if box.folded else palette.ink
    axes.text(x + 0.15, first, box.title, color=tone, weight="bold", fontsize=9.5, va="center")
    axes.text(
        x + COLUMN - 0.15,
        first,
        box.note,
        color=palette.muted,
        fontsize=9,
        ha="right",
        va="center",
    )
    for number, line in enumerate(box.lines, start=1):
        axes.text(
            x + 0.15, first + number * LINE, line, color=palette.muted, fontsize=8.5, va="center"
        )


def _changes(
    axes: Axes,
    before: list[tuple[Box, float]],
    after: list[tuple[Box, float]],
    edges: tuple[float, float],
    palette: Palette,
) -> None:
    """An arrow from what went to what came in its place."""
    gone = [(box, top) for box, top in before if box.gone]
    for grown, top in after:
        if not grown.grown:
            continue
        layer = grown.title.split("  ")[0]
        sources = [pair for pair in gone if pair[0].title.split("  ")[0] == layer]
        for source, source_top in sources:
            axes.add_patch(
                FancyArrowPatch(
                    (edges[0] + 0.04, source_top + source.height / 2),
                    (edges[1] - 0.04, top + grown.height / 2),
                    arrowstyle="-|>",
                    mutation_scale=13,
                    color=palette.grown,
                    linewidth=1.8,
                    connectionstyle="arc3,rad=0.0",
                )
            )
