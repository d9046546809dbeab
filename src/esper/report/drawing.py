"""Draws charts, and has their colours: one `<svg>` element each, the same for the report file and for the dashboard.

Colours are the page's CSS variables, text stays text, and nothing of it runs. Every point of a
short curve says its step and value where the pointer rests; of a long one the dashboard's script
reads them from the attributes of its line.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from markupsafe import Markup, escape

from esper.report import wording
from esper.report.chart import LARGE, Chart, Series

COLOURS: Final[Mapping[str, tuple[str, str]]] = {
    "paper": ("#ffffff", "#11151d"),  # background of the page
    "panel": ("#f4f5f7", "#1b212c"),  # background of boxes
    "ink": ("#1b2130", "#e8ebf1"),  # text and axes
    "muted": ("#5d677b", "#98a2b5"),  # secondary text
    "line": ("#dfe3ea", "#2e3644"),  # grid lines and borders
    "train": ("#8a93a6", "#8791a5"),  # training data
    "growth": ("#2862c8", "#74a5ff"),  # held-out data
    "grown": ("#07735a", "#3fd0a6"),  # what was added
    "grown-soft": ("#dcf3ec", "#12382f"),  # background of what was added
    "declined": ("#a9b1c1", "#5d6779"),  # what was tried and not taken
    "control": ("#9a5709", "#f0a54a"),  # the control candidate
    "warning": ("#bd3237", "#ff7b7f"),  # culled, rolled back
    "band": ("#efe9dc", "#26251f"),  # spans of time: a race running
}
"""Each role's colour in the light and in the dark, by the name of its CSS variable.

The hues stay apart for the common forms of colour blindness, and every mark that carries a meaning
by colour carries it by shape or by text as well.
"""
LEAST = 1e-300
"""What a logarithmic axis can still show."""


def standalone(svg: Markup) -> str:
    """The drawing as a file of its own, in light colours."""
    style = (
        f"svg {{ {css_variables()} background: {COLOURS['paper'][0]}; font-family: sans-serif; }}"
    )
    head, body = svg.split(">", 1)
    return f'{head} xmlns="http://www.w3.org/2000/svg"><style>{style}</style>{body}\n'


def draw(chart: Chart) -> Markup:
    """Draw a chart."""
    return _Drawing(chart).markup()


class _Drawing:
    """One chart on its way into markup; coordinates are those of the view."""

    def __init__(self, chart: Chart) -> None:
        self._chart = chart
        self._box = chart.box
        self._x = _scale(chart.span, (0.0, self._box.inner[0]))
        self._ticks, bounds = _value_axis(chart)
        log = math.log10 if chart.is_log else float
        self._y = _scale((log(bounds[0]), log(bounds[1])), (self._box.inner[1], 0.0), log)

    def markup(self) -> Markup:
        chart, box = self._chart, self._box
        width, height = box.inner
        newest = [f"{one.name} {self._newest(one)}" for one in chart.series]
        label = f"{chart.title} over the steps: {'; '.join(newest) or 'nothing measured yet'}"
        inside = "".join([*self._bands(), *self._marks(), *self._lines()])
        overflow = "visible" if chart.span[0] == 0 else "hidden"
        places = f'data-left="{box.left}" data-width="{width}" data-top="{box.top}"'
        parts = (
            f'<svg class="chart" viewBox="0 0 {box.width} {box.height}" role="img" ',
            f'aria-label="{_said(label)}" {places} data-height="{height}" ',
            f'data-from="{chart.span[0]}" data-to="{chart.span[1]}">',
            *self._grid(),
            f'<svg x="{box.left}" y="{box.top}" width="{width}" height="{height}" ',
            f'overflow="{overflow}">{inside}</svg>',
            *(self._legend() if box is LARGE else ()),
            "</svg>",
        )
        return Markup("".join(parts))  # noqa: S704  # our own markup; texts are escaped

    def _value(self, value: float | None) -> str:
        chart = self._chart
        if value is None:
            return wording.MISSING
        if chart.is_percent:
            return wording.percent(value)
        return f"{wording.loss(value) if value else 0}{f' {chart.unit}' if chart.unit else ''}"

    def _newest(self, one: Series) -> str:
        values = [value for value in one.curve.values if value is not None]
        return self._value(values[-1] if values else None)

    def _grid(self) -> list[str]:
        box, chart = self._box, self._chart
        found = []
        for value in self._ticks:
            y = round(box.top + self._y(value), 1)
            text = f"{100 * value:g} %" if chart.is_percent else f"{value:.3g}"
            found.append(
                f'<path d="M{box.left} {y}h{box.inner[0]}" stroke="var(--line)"/>'
                + _text(box.left - 7, y + 4, text, anchor="end")
            )
        for step in _nice(*chart.span, box.ticks):
            x = round(box.left + self._x(step), 1)
            found.append(_text(x, box.height - 6, wording.count(step), anchor="middle"))
        return found

    def _bands(self) -> list[str]:
        height = self._box.inner[1]
        found = []
        for start, end, name in self._chart.races:
            x, until = self._x(start), self._x(end)
            found.append(
                f'<rect x="{x:.1f}" y="0" width="{max(until - x, 1):.1f}" height="{height}" '
                f'fill="var(--band)"><title>{_said(name)}: step {wording.count(start)} to '
                f"{wording.count(end)}</title></rect>"
            )
            if until - x > 45:
                found.append(_text((x + until) / 2, 14, name, anchor="middle"))
        return found

    def _marks(self) -> list[str]:
        width, height = self._box.inner
        labelled = len(self._chart.marks) <= 12
        found = []
        for number, (step, role, words) in enumerate(self._chart.marks):
            x, colour = round(self._x(step), 1), f"var(--{role})"
            dash = ' stroke-dasharray="4 3"' if role == "growth" else ""
            found.append(
                f'<path d="M{x} 0V{height}" stroke="{colour}" stroke-width="1.6"{dash}>'
                f"<title>{_said(words)}: step {wording.count(step)}</title></path>"
            )
            if labelled and 0 <= x <= width:
                late = x > 0.7 * width
                found.append(
                    _text(x, -5 - 14 * (number % 2), words, "end" if late else "start", colour)
                )
        return found

    def _lines(self) -> list[str]:
        found = []
        for one in self._chart.series:
            pairs = [p for p in zip(one.curve.steps, one.curve.values, strict=True) if self._has(p)]
            points = [None if v is None else (self._x(s), self._y(v)) for s, v in pairs]
            labels = [self._value(value) for _, value in pairs]
            found.append(
                f'<path d="{_path(points)}" fill="none" stroke="var(--{one.role})" '
                'stroke-width="2" stroke-linejoin="round" stroke-linecap="round" '
                f'data-name="{_said(one.name)}" data-steps="{" ".join(str(s) for s, _ in pairs)}" '
                f'data-values="{"|".join(labels)}"/>'
            )
            if len(pairs) <= 60:
                found += [
                    f'<circle cx="{point[0]:.1f}" cy="{point[1]:.1f}" r="3" '
                    f'fill="var(--{one.role})"><title>step {wording.count(step)}: {label}</title>'
                    "</circle>"
                    for (step, _), point, label in zip(pairs, points, labels, strict=True)
                    if point is not None
                ]
        return found

    def _has(self, point: tuple[int, float | None]) -> bool:
        """Whether a point can be drawn: a logarithm has no place for what is not above zero."""
        return not (self._chart.is_log and point[1] is not None and point[1] < LEAST)

    def _legend(self) -> list[str]:
        if not self._chart.series:
            return [_text(self._box.width / 2, 150, "Nothing measured yet", anchor="middle")]
        found, x = [], self._box.left
        for one in self._chart.series:
            words = f"{one.name}, newest {self._newest(one)}"
            found.append(
                f'<rect x="{x}" y="4" width="14" height="8" rx="2" fill="var(--{one.role})"/>'
            )
            found.append(_text(x + 20, 12, words))
            x += 50 + 6.6 * len(words)
        return found


def _said(words: str) -> str:
    return str(escape(wording.visible(words)))


def _text(
    x: float, y: float, words: str, anchor: str = "start", colour: str = "var(--muted)"
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}" font-size="12">'
        f"{_said(words)}</text>"
    )


def _path(points: Sequence[tuple[float, float] | None]) -> str:
    """A line through the points, with a gap for each None; a lone point is a dot."""
    found: list[str] = []
    pen = False
    for point in points:
        if point is not None:
            found.append(f"{'L' if pen else 'M'}{point[0]:.1f} {point[1]:.1f}{'' if pen else 'h0'}")
        pen = point is not None
    return "".join(found)


def _scale(
    domain: tuple[float, float],
    place: tuple[float, float],
    log: Callable[[float], float] = float,
) -> Callable[[float], float]:
    width = (domain[1] - domain[0]) or 1.0
    return lambda value: place[0] + (log(value) - domain[0]) / width * (place[1] - place[0])


def _value_axis(chart: Chart) -> tuple[Sequence[float], tuple[float, float]]:
    """Labels of the value axis, and what it spans."""
    first, last = chart.span
    values = [
        value
        for one in chart.series
        for step, value in zip(one.curve.steps, one.curve.values, strict=True)
        if value is not None and first <= step <= last and not (chart.is_log and value < LEAST)
    ]
    low, high = min(values, default=0.1), max(values, default=1.0)
    if chart.is_log:
        ticks = _decades(low, high)
        return ticks, (min(low, *ticks), max(high, *ticks))
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    low, high = low - margin, high + margin
    if chart.is_percent:
        low, high = max(low, 0.0), min(high, 1.0)
    ticks = _nice(low, high, 5 if chart.box is LARGE else 3)
    return ticks, (low, high)


def _nice(low: float, high: float, about: int) -> Sequence[float]:
    """Round numbers between two bounds: steps of 1, 2 or 5 times a power of ten."""
    raw = max(high - low, 1e-12) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(size * power for size in (1, 2, 5, 10) if size * power >= raw)
    first = math.ceil(low / step - 1e-9)
    return [round(n * step, 12) for n in range(first, math.floor(high / step + 1e-9) + 1)]


def _decades(low: float, high: float) -> Sequence[float]:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    whole = [10.0**power for power in range(first, max(last, first + 1) + 1)]
    if len(whole) > 3:
        return whole
    between = [n * ten for ten in whole for n in (1, 2, 5)]
    kept = [value for value in between if low * 0.999 <= value <= high * 1.001]
    return kept or whole


def css_variables(*, dark: bool = False) -> str:
    """The colours as CSS custom properties, one declaration after another."""
    return " ".join(f"--{role}: {pair[dark]};" for role, pair in COLOURS.items())


def themes() -> str:
    """Both sets of colours as a style sheet, chosen by the reader's system."""
    return (
        f":root {{ {css_variables()} color-scheme: light dark; }}\n"
        "@media screen and (prefers-color-scheme: dark) { "
        f":root {{ {css_variables(dark=True)} }} }}\n"
    )
