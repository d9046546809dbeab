"""The lives of blueprints and kernels in the library: two tables of moves, and who makes them.

The same idea as in `lifecycle.py`: what is not in a table cannot happen, and `advance_blueprint`
and `advance_kernel` are the only readers.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from esper.contracts.enums import BlueprintState, KernelStatus
from esper.contracts.errors import IllegalTransitionError


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
