"""The lives of seeds, blueprints and kernels: tables of moves, and pure functions that make them.

What is not in a table cannot happen, and `Lifecycle.advance` alone reads the tables: `SEED_LIFE` has
everything that may change a seed's phase, `BLUEPRINT_LIFE` and `KERNEL_LIFE` are the library's.
Two views are derived from the phase and stored nowhere: the slot view (`slot_state`, what a
layer's slot is doing) and the seed view (`seed_state`, what a user calls it).
`diagram` draws the table for the documentation, so that the two cannot differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, IntEnum, StrEnum
from types import MappingProxyType
from typing import Final, Generic, TypeVar

from esper.contracts.enums import BlueprintState, KernelStatus, SeedState
from esper.contracts.errors import IllegalTransitionError

State = TypeVar("State", bound=Enum)
Happening = TypeVar("Happening", bound=StrEnum)


class Lifecycle(Generic[State, Happening]):
    """One table of moves, and the pure function that makes them.

    Args:
        what: What has this life, in the singular.
        table: Every legal move: state and event -> the state that follows.
    """

    def __init__(self, what: str, table: Mapping[tuple[State, Happening], State]) -> None:
        self.what = what
        self.table: Mapping[tuple[State, Happening], State] = MappingProxyType(dict(table))

    def advance(self, state: State, event: Happening) -> State:
        """Return the state that `event` leads to from `state`.

        Raises:
            IllegalTransitionError: The table has no such move. The message names those that are
                legal from `state`.
        """
        try:
            return self.table[state, event]
        except KeyError:
            legal = ", ".join(str(one) for one in self.events(state)) or "none: this is final"
            raise IllegalTransitionError(
                f"A {self.what} that is {state.name} cannot {event}. Legal from here: {legal}."
            ) from None

    def events(self, state: State) -> tuple[Happening, ...]:
        """Return the events that lead somewhere from `state`, in the order of the table."""
        return tuple(event for source, event in self.table if source is state)


class SeedPhase(IntEnum):
    """The finest account of where a seed is; its value is what state tensors hold (uint8)."""

    DORMANT = 0
    """The slot is empty and free."""
    ALLOCATED = 1
    """The slot is reserved for a kernel that has been chosen."""
    LOADING = 2
    """The kernel is being fetched, checked and built, off the training thread."""
    TRAINING = 3
    """The kernel is installed at alpha 0 and learns."""
    GRAFTING = 4
    """Alpha is above 0: the kernel takes part in the layer's output."""
    FOSSILIZED = 5
    """The kernel is part of the model for good. No move leads out."""
    RETIRING = 6
    """Alpha is back at 0; the kernel is about to be released."""
    RECYCLING = 7
    """Parameters, buffers and optimizer state are being released; the slot is embargoed."""
    ERROR_RECOVERY = 8
    """The kernel failed too often and is bypassed until it is retried or culled."""


class SeedEvent(StrEnum):
    """What can happen to a seed."""

    GERMINATE = "germinate"
    LOAD = "load"
    INSTALL = "install"
    BLEND = "blend"
    RETREAT = "retreat"
    FOSSILIZE = "fossilize"
    CULL = "cull"
    RELEASE = "release"
    REST = "rest"
    FAIL = "fail"
    RETRY = "retry"


SEED_LIFE: Final = Lifecycle(
    "seed",
    {
        (SeedPhase.DORMANT, SeedEvent.GERMINATE): SeedPhase.ALLOCATED,
        (SeedPhase.ALLOCATED, SeedEvent.LOAD): SeedPhase.LOADING,
        (SeedPhase.LOADING, SeedEvent.INSTALL): SeedPhase.TRAINING,
        (SeedPhase.TRAINING, SeedEvent.BLEND): SeedPhase.GRAFTING,
        (SeedPhase.GRAFTING, SeedEvent.RETREAT): SeedPhase.TRAINING,
        (SeedPhase.GRAFTING, SeedEvent.FOSSILIZE): SeedPhase.FOSSILIZED,
        (SeedPhase.ALLOCATED, SeedEvent.CULL): SeedPhase.RETIRING,
        (SeedPhase.LOADING, SeedEvent.CULL): SeedPhase.RETIRING,
        (SeedPhase.TRAINING, SeedEvent.CULL): SeedPhase.RETIRING,
        (SeedPhase.GRAFTING, SeedEvent.CULL): SeedPhase.RETIRING,
        (SeedPhase.ERROR_RECOVERY, SeedEvent.CULL): SeedPhase.RETIRING,
        (SeedPhase.RETIRING, SeedEvent.RELEASE): SeedPhase.RECYCLING,
        (SeedPhase.RECYCLING, SeedEvent.REST): SeedPhase.DORMANT,
        (SeedPhase.TRAINING, SeedEvent.FAIL): SeedPhase.ERROR_RECOVERY,
        (SeedPhase.GRAFTING, SeedEvent.FAIL): SeedPhase.ERROR_RECOVERY,
        (SeedPhase.ERROR_RECOVERY, SeedEvent.RETRY): SeedPhase.TRAINING,
    },
)


class SeedLifecycleState(IntEnum):
    """The slot view: what a layer's slot is doing, in the words of the platform documents."""

    DORMANT = 0
    ALLOCATED = 1
    LOADING = 2
    ACTIVE = 3
    RETIRING = 4
    RECYCLING = 5
    ERROR_RECOVERY = 6


_VIEWS: Final[Mapping[SeedPhase, tuple[SeedLifecycleState, SeedState]]] = {
    SeedPhase.DORMANT: (SeedLifecycleState.DORMANT, SeedState.DORMANT),
    SeedPhase.ALLOCATED: (SeedLifecycleState.ALLOCATED, SeedState.GERMINATED),
    SeedPhase.LOADING: (SeedLifecycleState.LOADING, SeedState.GERMINATED),
    SeedPhase.TRAINING: (SeedLifecycleState.ACTIVE, SeedState.TRAINING),
    SeedPhase.GRAFTING: (SeedLifecycleState.ACTIVE, SeedState.GRAFTING),
    SeedPhase.FOSSILIZED: (SeedLifecycleState.ACTIVE, SeedState.FOSSILIZED),
    SeedPhase.RETIRING: (SeedLifecycleState.RETIRING, SeedState.CULLED),
    SeedPhase.RECYCLING: (SeedLifecycleState.RECYCLING, SeedState.CULLED),
    # A bypassed kernel changes nothing in the output and returns to TRAINING if retried.
    SeedPhase.ERROR_RECOVERY: (SeedLifecycleState.ERROR_RECOVERY, SeedState.TRAINING),
}
"""Both views of each phase."""


def advance(phase: SeedPhase, event: SeedEvent) -> SeedPhase:
    """Return the phase that `event` leads to from `phase`, as `SEED_LIFE` says."""
    return SEED_LIFE.advance(phase, event)


def slot_state(phase: SeedPhase) -> SeedLifecycleState:
    """Return the slot view of `phase`."""
    return _VIEWS[phase][0]


def seed_state(phase: SeedPhase) -> SeedState:
    """Return the seed view of `phase`, in the user's words."""
    return _VIEWS[phase][1]


def diagram() -> str:
    """Return the table as a Mermaid state diagram (`stateDiagram-v2`), without a code fence."""
    moves = [
        f"    {source.name} --> {target.name}: {event}"
        for (source, event), target in SEED_LIFE.table.items()
    ]
    sources = {source for source, _ in SEED_LIFE.table}
    final = [f"    {phase.name} --> [*]" for phase in SeedPhase if phase not in sources]
    return "\n".join(["stateDiagram-v2", "    [*] --> DORMANT", *moves, *final])


class BlueprintEvent(StrEnum):
    """What can happen to a blueprint."""

    SUBMIT = "submit"
    LEASE = "lease"
    RELEASE = "release"
    VALIDATE = "validate"
    INVALIDATE = "invalidate"
    REOPEN = "reopen"
    ARCHIVE = "archive"


class KernelEvent(StrEnum):
    """What can happen to a stored kernel."""

    VALIDATE = "validate"
    REJECT = "reject"
    RETIRE = "retire"
    REINSTATE = "reinstate"


_B, _BE = BlueprintState, BlueprintEvent
BLUEPRINT_LIFE: Final = Lifecycle(
    "blueprint",
    {
        (_B.PROPOSED, _BE.SUBMIT): _B.UNVALIDATED,
        (_B.UNVALIDATED, _BE.LEASE): _B.COMPILING,
        (_B.COMPILING, _BE.RELEASE): _B.UNVALIDATED,
        (_B.COMPILING, _BE.VALIDATE): _B.VALIDATED,
        (_B.COMPILING, _BE.INVALIDATE): _B.INVALID,
        # A validated blueprint may be proven again, for another target.
        (_B.VALIDATED, _BE.REOPEN): _B.UNVALIDATED,
        (_B.INVALID, _BE.REOPEN): _B.UNVALIDATED,
        (_B.PROPOSED, _BE.ARCHIVE): _B.ARCHIVED,
        (_B.UNVALIDATED, _BE.ARCHIVE): _B.ARCHIVED,
        (_B.VALIDATED, _BE.ARCHIVE): _B.ARCHIVED,
        (_B.INVALID, _BE.ARCHIVE): _B.ARCHIVED,
    },
)

_K, _KE = KernelStatus, KernelEvent
KERNEL_LIFE: Final = Lifecycle(
    "kernel",
    {
        (_K.CANDIDATE, _KE.VALIDATE): _K.VALIDATED,
        (_K.CANDIDATE, _KE.REJECT): _K.REJECTED,
        (_K.VALIDATED, _KE.REJECT): _K.REJECTED,
        (_K.VALIDATED, _KE.RETIRE): _K.RETIRED,
        (_K.RETIRED, _KE.REINSTATE): _K.VALIDATED,
        (_K.RETIRED, _KE.REJECT): _K.REJECTED,
    },
)
