"""What the run cost: training compute by purpose, against the static host's."""

from __future__ import annotations

from functools import partial

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from esper.contracts.growth import CostAccount
from esper.report import wording
from esper.report.canvas import Drawing
from esper.report.palette import Palette


def cost_account(cost: CostAccount) -> Drawing | None:
    """Draw the account; None when the static host's cost is not known."""
    if not cost.static:
        return None
    return Drawing(
        name="cost",
        title=(
            f"Training compute: {wording.multiple(cost.multiple)} the static host's, of which "
            f"model {wording.compact(cost.host)}, shadow {wording.compact(cost.shadow)}, "
            f"evaluation {wording.compact(cost.evaluation)} FLOPs"
        ),
        width=9.4,
        height=1.6,
        draw=partial(_draw, cost),
    )


def shares(cost: CostAccount, palette: Palette) -> list[tuple[str, float, str]]:
    """What compute was spent on: name, FLOPs, colour."""
    return [
        ("model", cost.host, palette.grown),
        ("shadow race", cost.shadow, palette.growth),
        ("evaluation", cost.evaluation, palette.control),
    ]


def _draw(cost: CostAccount, figure: Figure, palette: Palette) -> None:
    axes = figure.add_axes((0.12, 0.02, 0.86, 0.96))
    axes.set_axis_off()
    axes.set_xlim(0, max(cost.multiple, 1.0) * 1.12)
    axes.set_ylim(2.5, -0.45)
    _row_label(axes, 0, "static host", palette)
    axes.barh(0, 1.0, height=0.62, color=palette.declined)
    axes.text(1.0, 0, "   1 ×", va="center", color=palette.muted)
    _row_label(axes, 1, "this run", palette)
    left = 0.0
    for _, flops, colour in shares(cost, palette):
        width = flops / cost.static
        axes.barh(1, width, left=left, height=0.62, color=colour, edgecolor=palette.paper)
        left += width
    axes.text(
        left,
        1,
        f"   {wording.multiple(cost.multiple)}",
        va="center",
        color=palette.ink,
        weight="bold",
    )
    _legend(axes, cost, palette)
    axes.axvline(1.0, color=palette.muted, linewidth=0.8, linestyle=(0, (3, 2)), ymin=0.3)


def _row_label(axes: Axes, row: int, text: str, palette: Palette) -> None:
    axes.text(
        -0.012,
        row,
        text,
        transform=axes.get_yaxis_transform(),
        ha="right",
        va="center",
        color=palette.ink,
        fontsize=9.5,
    )


def _legend(axes: Axes, cost: CostAccount, palette: Palette) -> None:
    x = 0.0
    for name, flops, colour in shares(cost, palette):
        text = f"{name}  {wording.multiple(flops / cost.static)}"
        axes.plot(
            [x + 0.006],
            [2.1],
            marker="s",
            markersize=8,
            color=colour,
            transform=axes.get_yaxis_transform(),
            clip_on=False,
        )
        axes.text(
            x + 0.022,
            2.1,
            text,
            transform=axes.get_yaxis_transform(),
            va="center",
            color=palette.muted,
            fontsize=9,
        )
        x += 0.2
