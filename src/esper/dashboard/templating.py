"""The pages' templates, and how times are written in them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from markupsafe import Markup

from esper.contracts.ports import Clock
from esper.report.page import environment

NAVIGATION: Final = (
    ("/", "Runs"),
    ("/kernels", "Kernels"),
    ("/platform", "Platform"),
    ("/alerts", "Alerts"),
)
"""Address and name of each entry."""


class Templates:
    """Renders the pages.

    Args:
        clock: Tells how long ago something was.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._environment = environment("esper.dashboard")
        self._environment.filters.update(ago=self._ago)
        self._environment.globals.update(navigation=NAVIGATION, served=True)

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


def _rough(seconds: float) -> str:
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s"
