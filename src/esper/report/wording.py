"""How numbers and states are put for people: one place, so that page, terminal and pictures agree."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Final, NamedTuple, Protocol

from esper.contracts.enums import SeedState
from esper.contracts.site import Site

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


class Gain(Protocol):
    """A gain with its interval, as evidence, standings and field reports have it."""

    @property
    def gain(self) -> float | None:
        """None where nobody measured it."""

    @property
    def ci_low(self) -> float | None:
        """Lower end of its interval."""

    @property
    def ci_high(self) -> float | None:
        """Upper end of its interval."""


def interval(found: Gain) -> str:
    """The interval of a gain, with its confidence where that is known; empty where there is none."""
    if found.ci_low is None or found.ci_high is None:
        return ""
    confidence = getattr(found, "confidence", None)
    level = "" if confidence is None else f"{percent(confidence, 0)} "
    return f"{level}interval {signed_percent(found.ci_low)} to {signed_percent(found.ci_high)}"


def gain(found: Gain) -> str:
    """A gain with its interval, positive when it is better; empty where nobody measured it."""
    if found.gain is None:
        return ""
    span = interval(found)
    return signed_percent(found.gain) + (f" ({span})" if span else "")


def place(layer: str) -> str:
    """A layer's name in a sentence, or a site behind one; the root module has an empty name."""
    site = Site.of(layer)
    where = f"layer “{site.module}”" if site.module else "the model itself"
    return f"the place behind {where}" if site.behind else where


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


GLOSSARY: Final[Mapping[str, str]] = {
    "kernel": "a small network of its own that takes a layer's place or works beside it",
    "race": "candidates for a layer train side by side in the shadow; the running model does not "
    "notice",
    "mark": "a step of a race at which the candidates are compared and the worst leave",
    "fresh copy": "the layer itself, begun anew and raced like a candidate: what more training "
    "alone would bring. A winner must beat it",
    "held-out data": "data that no training step saw; every decision rests on it. The test data is "
    "other data, measured once, at the end",
    "gain": "the share of the held-out loss that a kernel takes away: positive when it is better",
    "interval": "where the gain lies for other choices of held-out samples; the luck of the seed "
    "is not in it",
    "rent": "what a kernel must gain for its parameters and operations before it may come in",
    "blend": "a kernel that won is turned up from 0 to 1 step by step, then checked",
    "permanent": "a kernel that passed its check is part of the model for good",
}
"""The words of pages about runs, in the order in which a run meets them; `docs/concepts.md` has the same."""


class SlotState(NamedTuple):
    """How a page tells a state of a slot."""

    name: str
    meaning: str
    glyph: str
    """States are told apart by shape as well as by colour."""


STATES: Final[Mapping[SeedState, SlotState]] = {
    SeedState.DORMANT: SlotState("empty", "empty: the layer computes what it always did", "○"),
    SeedState.TRAINING: SlotState(
        "racing", "candidates train in the layer's shadow; the model does not feel them", "◔"
    ),
    SeedState.GERMINATED: SlotState(
        "installed", "a kernel was chosen and is in place, without a say yet", "◑"
    ),
    SeedState.GRAFTING: SlotState("blending in", "the kernel is blended in, step by step", "◕"),
    SeedState.FOSSILIZED: SlotState("permanent", "the kernel is part of the model for good", "●"),
    SeedState.CULLED: SlotState(
        "taken out", "a kernel was tried in the model and taken out again", "✕"
    ),
}
"""In the order in which a kernel goes through them."""
