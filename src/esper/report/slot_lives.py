"""The life of each slot: which state it was in from which step to which, and what was in it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from esper.contracts.enums import KernelMode, SeedState
from esper.contracts.events import (
    Event,
    GraftStarted,
    RaceDecided,
    RaceStarted,
    SeedCulled,
    SeedFossilized,
    SeedGerminated,
    SeedIsolated,
    SeedRetreated,
)
from esper.report.run_account import RunAccount


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A slot in one state for a while."""

    state: SeedState
    since: int
    """Step at which it began."""
    until: int
    """Step at which it ended; the newest step where it has not."""
    share: float
    """Its part of the run's planned steps, from 0 to 1."""


@dataclass(kw_only=True)
class SlotLife:
    """One slot, from the first step on."""

    layer: str
    slot: int
    changes: list[tuple[int, SeedState]] = field(default_factory=list)
    """Step and state, in order; the slot was empty before."""
    events: list[Event] = field(default_factory=list)
    """What happened to it."""
    blueprint: str = ""
    """`family/size` of the newest kernel; empty where there was none."""
    mode: KernelMode | None = None
    kernel_parameters: int = 0
    host_dropped: bool = False
    """Whether the kernel stands in the host's place for good."""
    trouble: str = ""
    """Why its kernel is bypassed, if it is."""

    @property
    def anchor(self) -> str:
        """Where a file of the run's page shows it."""
        return "slot-" + re.sub(r"[^\w.-]", "-", self.key)

    @property
    def key(self) -> str:
        """`layer#slot`, as logs write it."""
        return f"{self.layer}#{self.slot}"

    @property
    def state(self) -> SeedState:
        """Where it is now."""
        return self.changes[-1][1] if self.changes else SeedState.DORMANT

    @property
    def settled(self) -> SeedState:
        """Where it is when a race that it lost is over."""
        lasting = [state for _, state in self.changes if state is not SeedState.TRAINING]
        return lasting[-1] if lasting else SeedState.DORMANT

    @property
    def holds_kernel(self) -> bool:
        """Whether a kernel is in the model here."""
        return self.state in {SeedState.GERMINATED, SeedState.GRAFTING, SeedState.FOSSILIZED}

    def enter(self, step: int, state: SeedState, event: Event) -> None:
        """Note a change of state and what caused it."""
        self.changes.append((step, state))
        self.events.append(event)

    def stages(self, newest: int, total: int) -> list[Stage]:
        """Return its states from step 0 to the newest one, without those of no length."""
        changes = [(0, SeedState.DORMANT), *self.changes]
        ends = [*(step for step, _ in changes[1:]), max(newest, changes[-1][0])]
        whole = max(total, newest, 1)
        return [
            Stage(state=state, since=since, until=until, share=(until - since) / whole)
            for (since, state), until in zip(changes, ends, strict=True)
            if until > since
        ]


def slot_lives(run: RunAccount) -> dict[str, SlotLife]:
    """Return the life of every slot, in the order of the layers, by `layer#slot`."""
    lives = {
        life.key: life
        for layer, count in run.host.slots.items()
        for life in (SlotLife(layer=layer, slot=number) for number in range(count))
    }
    racing: dict[int, list[SlotLife]] = {}
    for event in run.events:
        if isinstance(event, RaceStarted):
            racing[event.race] = [_open_slot(lives, layer) for layer in event.layers]
            for life in racing[event.race]:
                life.enter(event.step, SeedState.TRAINING, event)
        elif isinstance(event, RaceDecided):
            for life in racing.pop(event.race, ()):
                if event.winner is None or life.layer != event.winner.layer_name:
                    life.enter(event.step, life.settled, event)
        else:
            _of_one_seed(lives, event)
    return lives


def lives_at(lives: Mapping[str, SlotLife], layer: str) -> Sequence[SlotLife]:
    """Return the lives of one layer's slots."""
    return [life for life in lives.values() if life.layer == layer]


_ENTERED: Mapping[type[Event], SeedState] = {
    SeedGerminated: SeedState.GERMINATED,
    GraftStarted: SeedState.GRAFTING,
    SeedRetreated: SeedState.GERMINATED,
    SeedFossilized: SeedState.FOSSILIZED,
    SeedCulled: SeedState.CULLED,
}
"""What a slot is after an event."""


def _of_one_seed(lives: dict[str, SlotLife], event: Event) -> None:
    if isinstance(event, SeedIsolated):
        life = _slot(lives, event)
        life.trouble = event.reason
        life.events.append(event)
    elif type(event) in _ENTERED:
        life = _slot(lives, event)
        life.enter(event.step, _ENTERED[type(event)], event)
        if isinstance(event, SeedGerminated):
            life.blueprint, life.mode = event.blueprint, event.mode
            life.kernel_parameters, life.trouble = event.parameters, ""
        elif isinstance(event, SeedFossilized):
            life.host_dropped = event.host_dropped


def _slot(lives: dict[str, SlotLife], event: Any) -> SlotLife:
    key = f"{event.layer_name}#{event.seed_idx}"
    return lives.setdefault(key, SlotLife(layer=event.layer_name, slot=event.seed_idx))


def _open_slot(lives: dict[str, SlotLife], layer: str) -> SlotLife:
    """Return the slot that a race at this layer is about: the first that is empty."""
    here = lives_at(lives, layer)
    empty = [life for life in here if not life.holds_kernel]
    if empty or here:
        return (empty or here)[0]
    return lives.setdefault(f"{layer}#0", SlotLife(layer=layer, slot=0))
