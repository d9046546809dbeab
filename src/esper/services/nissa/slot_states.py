"""Slots: the state of every seed slot of a run, as far as its lines tell. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from esper.contracts.base import MOST_SLOTS
from esper.contracts.enums import SeedState
from esper.contracts.events import (
    AnyEvent,
    GraftStarted,
    SeedCulled,
    SeedEventBase,
    SeedFossilized,
    SeedGerminated,
    SeedRetreated,
)
from esper.services.nissa.projection import Body, mapping

_STATES: Final[Mapping[type[AnyEvent], SeedState]] = {
    SeedGerminated: SeedState.GERMINATED,
    GraftStarted: SeedState.GRAFTING,
    SeedRetreated: SeedState.TRAINING,
    SeedFossilized: SeedState.FOSSILIZED,
    SeedCulled: SeedState.CULLED,
}
"""Event -> state of its slot from then on."""


def slots_of(start: Body, events: Iterable[AnyEvent]) -> Mapping[str, Sequence[SeedState]]:
    """Return the states of each layer's slots, by the layer's qualified name.

    Args:
        start: The run's first line, which says how many slots each layer has.
        events: The run's events, in the order of its log.
    """
    states: dict[str, list[SeedState]] = {
        str(layer): [SeedState.DORMANT] * count
        for layer, count in mapping(mapping(start.get("host")).get("slots")).items()
        if isinstance(count, int) and count <= MOST_SLOTS
    }
    for event in events:
        state = _STATES.get(type(event))
        if state is not None and isinstance(event, SeedEventBase):
            slots = states.setdefault(event.layer_name, [])
            slots += [SeedState.DORMANT] * (event.seed_idx + 1 - len(slots))
            slots[event.seed_idx] = state
    return states
