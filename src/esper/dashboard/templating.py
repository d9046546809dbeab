"""The pages' templates, and how numbers and times are written in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from esper.contracts.enums import SeedState
from esper.contracts.ports import Clock
from esper.contracts.version import VERSION
from esper.dashboard.views.chart import run_label
from esper.dashboard.views.slot_view import WORDS
from esper.report import story, wording
from esper.report.palette import DARK, LIGHT, css_variables

GLYPHS: Final = {
    SeedState.DORMANT: "○",
    SeedState.TRAINING: "◔",
    SeedState.GERMINATED: "◑",
    SeedState.GRAFTING: "◕",
    SeedState.FOSSILIZED: "●",
    SeedState.CULLED: "✕",
}
"""States are told apart by shape as well as by colour."""
NAMES: Final = {
    SeedState.DORMANT: "empty",
    SeedState.TRAINING: "racing",
    SeedState.GERMINATED: "installed",
    SeedState.GRAFTING: "blending in",
    SeedState.FOSSILIZED: "permanent",
    SeedState.CULLED: "taken out",
}
"""What a page calls the states."""


@dataclass(frozen=True, kw_only=True)
class Link:
    """One entry of the navigation."""

    address: str
    name: str


NAVIGATION: Final = (
    Link(address="/", name="Runs"),
    Link(address="/kernels", name="Kernels"),
    Link(address="/platform", name="Platform"),
    Link(address="/alerts", name="Alerts"),
)


class Templates:
    """Renders the pages.

    Args:
        clock: Tells how long ago something was.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._environment = Environment(
            loader=PackageLoader("esper.dashboard"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters.update(ago=self._ago, value=_value)
        self._environment.globals.update(
            w=wording,
            place=story.place,
            interval=story.interval,
            run_label=run_label,
            glyphs=GLYPHS,
            state_names=NAMES,
            state_words=WORDS,
            navigation=NAVIGATION,
            version=VERSION,
        )

    def render(self, name: str, values: Mapping[str, Any]) -> str:
        """Return the page made from a template."""
        return self._environment.get_template(name).render(**values)

    def _ago(self, moment: datetime) -> Markup:
        """Say how long ago it was; the moment itself is in the element."""
        seconds = max(self._clock.now() - moment.timestamp(), 0.0)
        said = "now" if seconds < 5 else f"{_rough(seconds)} ago"
        stamp = moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        return Markup('<time datetime="{0}" title="{1}">{2}</time>').format(
            moment.isoformat(), stamp, said
        )


def palettes() -> str:
    """Return the colours as CSS: light, and dark where the reader's system asks for it."""
    return (
        f":root {{ {css_variables(LIGHT)} color-scheme: light dark; }}\n"
        f"@media (prefers-color-scheme: dark) {{ :root {{ {css_variables(DARK)} }} }}\n"
    )


def _value(value: float | None, text: str) -> Markup:
    """A figure as people read it, which carries the exact value with it."""
    if value is None:
        return Markup('<span class="missing">—</span>')
    return Markup('<data value="{0}">{1}</data>').format(repr(value), text)


def _rough(seconds: float) -> str:
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s"
