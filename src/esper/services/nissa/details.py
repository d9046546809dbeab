"""Details: the figures that components send along with their health, as far as Nissa reads them.

===============  ====================================================================
`dropped`        messages that could not be sent, by topic (`Publisher.dropped`)
`kernel_cache`   `hits`, `misses` and `errors` of the kernel cache
===============  ====================================================================

All are counted since the process began. Whatever else stands there is shown as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pydantic import JsonValue

from esper.contracts.platform_events import ComponentHealth
from esper.contracts.runs import ComponentView

FORGOTTEN_SECONDS: Final = 3600.0
"""How long a component that is lost is still looked for: trainers that were killed never come back
under the same name."""


@dataclass(frozen=True, kw_only=True)
class CacheCounts:
    """Loads of a kernel cache."""

    hits: int
    """That found the kernel in memory."""
    misses: int
    """That did not."""


def present(views: Sequence[ComponentView], at: datetime) -> list[ComponentView]:
    """Return the components that are there or are missed: not those that left, or are forgotten."""
    return [
        view
        for view in views
        if not view.health.leaving
        and not (view.lost and (at - view.seen_at).total_seconds() > FORGOTTEN_SECONDS)
    ]


def dropped(health: ComponentHealth) -> int | None:
    """Return how many messages the component could not send; None if it does not say."""
    return _total(health.details.get("dropped"))


def kernel_cache(health: ComponentHealth) -> CacheCounts | None:
    """Return the counters of the component's kernel cache; None if it has none."""
    counts = health.details.get("kernel_cache")
    if not isinstance(counts, dict):
        return None
    hits, misses = counts.get("hits"), counts.get("misses")
    if not isinstance(hits, int) or not isinstance(misses, int):
        return None
    return CacheCounts(hits=hits, misses=misses)


def _total(value: JsonValue) -> int | None:
    if isinstance(value, dict):
        return sum(count for count in value.values() if isinstance(count, int))
    return value if isinstance(value, int) else None
