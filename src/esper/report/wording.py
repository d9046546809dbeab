"""How numbers are written for people: one place, so that page, terminal and pictures agree."""

from __future__ import annotations

import math
import re
from typing import Final

MINUS = "\N{MINUS SIGN}"
NARROW_SPACE = "\N{NARROW NO-BREAK SPACE}"
MISSING = "not measured"
# Those of ASCII and Latin-1 but the end of a line, those that turn the direction of writing or end
# a line elsewhere, and what cannot be encoded at all.
CONTROL: Final = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
PERCENT_METRICS = ("accuracy", "f1", "auc", "precision", "recall")


def visible(text: str) -> str:
    r"""Return a text with its control characters written out: `\x1b`, `\u202e`."""
    return CONTROL.sub(_written_out, text)


def _written_out(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")


def count(value: float) -> str:
    """A whole number with thousands separated: 12,345."""
    return f"{round(value):,}".replace("-", MINUS)


def compact(value: float) -> str:
    """A magnitude in three figures: 950, 12.3 k, 4.56 M, 7.89 G, 1.20 T, 3.40 P."""
    for limit, suffix in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= limit:
            scale = 1e3 if suffix == "k" else limit
            return f"{_figures(value / scale)}{NARROW_SPACE}{suffix}"
    return count(value)


def percent(fraction: float, digits: int = 1) -> str:
    """A fraction as a percentage: 0.915 is 91.5 %."""
    if not math.isfinite(fraction):
        return str(fraction)
    return f"{100 * fraction:.{digits}f}".replace("-", MINUS) + f"{NARROW_SPACE}%"


def signed_percent(fraction: float, digits: int = 1) -> str:
    """A change as a percentage with its sign: +3.2 %, −0.4 %."""
    sign = "+" if fraction > 0 else ""
    return sign + percent(fraction, digits)


def multiple(value: float) -> str:
    """A factor: 2.31 ×."""
    return f"{value:.2f}{NARROW_SPACE}\N{MULTIPLICATION SIGN}"


def loss(value: float) -> str:
    """A loss in three significant figures."""
    return f"{value:#.3g}" if abs(value) < 1 else f"{value:.3f}"


def is_percentage(metric: str) -> bool:
    """Whether values of this metric lie in [0, 1] and read best as percentages."""
    return any(name in metric.lower() for name in PERCENT_METRICS)


def score(value: float | None, *, is_percent: bool) -> str:
    """A metric's value in the form that suits the metric; None says that nobody measured it."""
    if value is None:
        return MISSING
    return percent(value) if is_percent else loss(value).replace("-", MINUS)


def duration(seconds: float) -> str:
    """A span of time in its two largest units: 3 min 12 s."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"


def _figures(value: float) -> str:
    digits = 2 if abs(value) < 10 else 1 if abs(value) < 100 else 0
    return f"{value:.{digits}f}".replace("-", MINUS)
