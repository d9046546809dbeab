"""The lives of seeds, blueprints and kernels: tables of moves, and pure functions that make them.

What is not in a table cannot happen. Everything that may change a seed's phase is in
`TRANSITIONS`; `advance` is its only reader, `advance_blueprint` and `advance_kernel` are those of
the library's tables.
Two views are derived from the phase and stored nowhere: the slot view (`slot_state`, what a
layer's slot is doing) and the seed view (`seed_state`, what a user calls it).
`diagram` draws the table for the documentation, so that the two cannot differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum, StrEnum
from types import MappingProxyType
from typing import Any

from esper.contracts.enums import BlueprintState, KernelStatus, SeedState
from esper.contracts.errors import IllegalTransitionError


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


TRANSITIONS: Mapping[tuple[SeedPhase, SeedEvent], SeedPhase] = MappingProxyType(
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
    }
)
"""Every legal move. A pair that is not here is illegal."""


class SeedLifecycleState(IntEnum):
    """The slot view: what a layer's slot is doing, in the words of the platform documents."""

    DORMANT = 0
    ALLOCATED = 1
    LOADING = 2
    ACTIVE = 3
    RETIRING = 4
    RECYCLING = 5
    ERROR_RECOVERY = 6


_SLOT_VIEW: Mapping[SeedPhase, SeedLifecycleState] = MappingProxyType(
    {
        SeedPhase.DORMANT: SeedLifecycleState.DORMANT,
        SeedPhase.ALLOCATED: SeedLifecycleState.ALLOCATED,
        SeedPhase.LOADING: SeedLifecycleState.LOADING,
        SeedPhase.TRAINING: SeedLifecycleState.ACTIVE,
        SeedPhase.GRAFTING: SeedLifecycleState.ACTIVE,
        SeedPhase.FOSSILIZED: SeedLifecycleState.ACTIVE,
        SeedPhase.RETIRING: SeedLifecycleState.RETIRING,
        SeedPhase.RECYCLING: SeedLifecycleState.RECYCLING,
        SeedPhase.ERROR_RECOVERY: SeedLifecycleState.ERROR_RECOVERY,
    }
)

_SEED_VIEW: Mapping[SeedPhase, SeedState] = MappingProxyType(
    {
        SeedPhase.DORMANT: SeedState.DORMANT,
        SeedPhase.ALLOCATED: SeedState.GERMINATED,
        SeedPhase.LOADING: SeedState.GERMINATED,
        SeedPhase.TRAINING: SeedState.TRAINING,
        SeedPhase.GRAFTING: SeedState.GRAFTING,
        SeedPhase.FOSSILIZED: SeedState.FOSSILIZED,
        SeedPhase.RETIRING: SeedState.CULLED,
        SeedPhase.RECYCLING: SeedState.CULLED,
        # A bypassed kernel changes nothing in the output and returns to TRAINING if retried.
        SeedPhase.ERROR_RECOVERY: SeedState.TRAINING,
    }
)


def advance(phase: SeedPhase, event: SeedEvent) -> SeedPhase:
    """Return the phase that `event` leads to from `phase`.

    Args:
        phase: Where the seed is.
        event: What happens to it.

    Raises:
        IllegalTransitionError: The table has no such move. The message names the moves that
            are legal from `phase`.
    """
    target = TRANSITIONS.get((phase, event))
    if target is None:
        legal = ", ".join(legal_events(phase)) or "none: this phase is final"
        raise IllegalTransitionError(
            f"A seed that is {phase.name} cannot {event}. Legal from here: {legal}."
        )
    return target


def legal_events(phase: SeedPhase) -> tuple[SeedEvent, ...]:
    """Return the events that lead somewhere from `phase`, in the order of `SeedEvent`."""
    return tuple(event for event in SeedEvent if (phase, event) in TRANSITIONS)


def slot_state(phase: SeedPhase) -> SeedLifecycleState:
    """Return the slot view of `phase`."""
    return _SLOT_VIEW[phase]


def seed_state(phase: SeedPhase) -> SeedState:
    """Return the seed view of `phase`, in the user's words."""
    return _SEED_VIEW[phase]


def diagram() -> str:
    """Return the table as a Mermaid state diagram (`stateDiagram-v2`), without a code fence."""
    moves = [
        f"    {source.name} --> {target.name}: {event}"
        for (source, event), target in TRANSITIONS.items()
    ]
    sources = {source for source, _ in TRANSITIONS}
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
BLUEPRINT_TRANSITIONS: Mapping[tuple[BlueprintState, BlueprintEvent], BlueprintState] = (
    MappingProxyType(
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
        }
    )
)

_K, _KE = KernelStatus, KernelEvent
KERNEL_TRANSITIONS: Mapping[tuple[KernelStatus, KernelEvent], KernelStatus] = MappingProxyType(
    {
        (_K.CANDIDATE, _KE.VALIDATE): _K.VALIDATED,
        (_K.CANDIDATE, _KE.REJECT): _K.REJECTED,
        (_K.VALIDATED, _KE.REJECT): _K.REJECTED,
        (_K.VALIDATED, _KE.RETIRE): _K.RETIRED,
        (_K.RETIRED, _KE.REINSTATE): _K.VALIDATED,
        (_K.RETIRED, _KE.REJECT): _K.REJECTED,
    }
)


def advance_blueprint(state: BlueprintState, event: BlueprintEvent) -> BlueprintState:
    """Return the state after `event`.

    Raises:
        IllegalTransitionError: The table has no such move.
    """
    try:
        return BLUEPRINT_TRANSITIONS[state, event]
    except KeyError:
        raise _illegal("blueprint", state, event, BLUEPRINT_TRANSITIONS) from None


def advance_kernel(status: KernelStatus, event: KernelEvent) -> KernelStatus:
    """Return the status after `event`.

    Raises:
        IllegalTransitionError: The table has no such move.
    """
    try:
        return KERNEL_TRANSITIONS[status, event]
    except KeyError:
        raise _illegal("kernel", status, event, KERNEL_TRANSITIONS) from None


def _illegal(
    what: str, state: StrEnum, event: StrEnum, table: Mapping[tuple[Any, Any], Any]
) -> IllegalTransitionError:
    possible = sorted(e.value for s, e in table if s is state)
    return IllegalTransitionError(
        f"a {what} that is {state.value} cannot {event.value}; "
        f"possible: {', '.join(possible) or 'nothing'}"
    )
