"""What a run's growth events say, read back out of lines: impacts, stations of kernels, slots.

All of it is pure: lines of one run in the order of its log go in. A line of another version of
Esper that cannot be read is passed over.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from pydantic import ValidationError

from esper.contracts.events import AnyEvent, parse_event
from esper.services.nissa.projection import Body

ADAPTATION_KINDS: Final = (
    "RaceStarted",
    "RungFinished",
    "RaceDecided",
    "SeedGerminated",
    "GraftStarted",
    "GraftEvaluated",
    "SeedRetreated",
    "SeedFossilized",
    "SeedCulled",
    "SeedIsolated",
    "VerdictReached",
)
"""Kinds of the events that adaptations are made of."""


def events(bodies: Iterable[Body]) -> Iterator[AnyEvent]:
    """Yield the events among a run's lines."""
    for body in bodies:
        if body.get("type") == "event":
            try:
                yield parse_event({key: value for key, value in body.items() if key != "type"})
            except ValidationError:
                continue
