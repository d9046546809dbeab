"""Details: the figures that components send along with their health, as far as Nissa reads them.

===============  ====================================================================
`dropped`        messages that could not be sent, by topic (`Publisher.dropped`)
`kernel_cache`   `hits`, `misses` and `errors` of the kernel cache
===============  ====================================================================

All are counted since the process began. Whatever else stands there is shown as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from esper.contracts.platform_events import ComponentHealth
from esper.contracts.runs import ComponentView

FORGOTTEN_SECONDS: Final = 3600.0
"""How long a component that is lost is still looked for: trainers that were killed never come back
under the same name."""


def present(views: Sequence[ComponentView], at: datetime) -> list[ComponentView]:
    """Return the components that are there or are missed: not those that left, or are forgotten."""
    return [
        view
        for view in views
        if not view.health.leaving
        and not (view.lost and (at - view.seen_at).total_seconds() > FORGOTTEN_SECONDS)
    ]


def counters(health: ComponentHealth) -> Mapping[str, int]:
    """Return what the component counted: `dropped`, and `hit` and `miss` of its kernel cache.

    What it does not say, or says in another shape, is left out.
    """
    dropped, cache = health.details.get("dropped"), health.details.get("kernel_cache")
    if isinstance(dropped, dict):
        dropped = sum(count for count in dropped.values() if isinstance(count, int))
    loads = cache if isinstance(cache, dict) else {}
    found = {"dropped": dropped, "hit": loads.get("hits"), "miss": loads.get("misses")}
    return {name: value for name, value in found.items() if isinstance(value, int)}
