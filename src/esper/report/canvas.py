"""A drawing surface: one matplotlib figure that becomes a PNG, or SVG that follows the page.

Drawing functions take a figure and a `Palette` and know nothing of files. The global state of
matplotlib (pyplot, the chosen backend) is left alone, so a report can be written from anywhere.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from html import escape
from typing import Literal

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from esper.report import wording
from esper.report.palette import LIGHT, PLACEHOLDERS, Palette, themed

PNG_DPI = 160
Draw = Callable[[Figure, Palette], None]


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """A picture that is not drawn yet: what to paint, how large, and what to call it."""

    name: str
    """File name without its ending; also the prefix of the SVG's ids."""
    title: str
    """What the picture shows, in a sentence, for those who cannot see it."""
    width: float
    """Inches."""
    height: float
    """Inches."""
    draw: Draw

    def png(self) -> bytes:
        """Paint with the light palette on an opaque background."""
        buffer = io.BytesIO()
        with _style():
            figure = Figure(figsize=(self.width, self.height))
            self.draw(figure, LIGHT)
            about = {"Software": "Esper", "Title": self.title}
            figure.savefig(buffer, format="png", dpi=PNG_DPI, facecolor=LIGHT.paper, metadata=about)
        return buffer.getvalue()

    def svg(self) -> str:
        """Paint as an inline `<svg>` element whose colours are the page's CSS variables."""
        buffer = io.StringIO()
        with _style():
            figure = Figure(figsize=(self.width, self.height))
            figure.patch.set_visible(False)
            self.draw(figure, PLACEHOLDERS)
            figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
        return _inline(buffer.getvalue(), self)


def _style() -> AbstractContextManager[None]:
    return mpl.rc_context(
        {
            "font.family": "sans-serif",
            "font.sans-serif": ["DejaVu Sans"],
            "font.size": 10.0,
            "svg.fonttype": "none",  # text stays text: selectable, in the page's own font
            "svg.hashsalt": "esper",  # the same run gives the same bytes
            "axes.unicode_minus": True,
        }
    )


def plain_axes(axes: Axes, palette: Palette, *, grid: Literal["x", "y"] = "y") -> None:
    """Take away everything that carries no information: ticks, box, strong lines."""
    axes.set_facecolor("none")
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(False)
    axes.tick_params(length=0, colors=palette.muted, labelsize=9)
    axes.grid(axis=grid, color=palette.line, linewidth=0.8)
    axes.set_axisbelow(True)


def step_ticks(axes: Axes) -> None:
    """Write the step axis as whole numbers with thousands separated."""
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: wording.count(value)))


def percent_ticks(axes: Axes, *, axis: str = "y", signed: bool = False) -> None:
    """Write an axis of fractions as percentages."""
    write = wording.signed_percent if signed else wording.percent
    target = axes.yaxis if axis == "y" else axes.xaxis
    target.set_major_formatter(FuncFormatter(lambda value, _: write(value, 0)))


def _inline(document: str, drawing: Drawing) -> str:
    """Keep the `<svg>` element alone, sized by the page, with ids that no other drawing has."""
    start = document.index("<svg")
    markup = re.sub(r"<metadata>.*?</metadata>", "", document[start:], flags=re.DOTALL)
    markup = re.sub(r'\bid="([^"]+)"', rf'id="{drawing.name}-\1"', markup)
    markup = re.sub(r'href="#([^"]+)"', rf'href="#{drawing.name}-\1"', markup)
    markup = re.sub(r"url\(#([^)]+)\)", rf"url(#{drawing.name}-\1)", markup)
    markup = re.sub(r"'DejaVu Sans'[^;\"]*", "var(--font)", markup)
    head, body = markup.split(">", 1)
    head = re.sub(r'\s(width|height)="[^"]*"', "", head)
    label = escape(drawing.title, quote=True)
    return themed(f'{head} role="img" aria-label="{label}">{body}').strip()
