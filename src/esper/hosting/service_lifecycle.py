"""The life of a hosted service: one table, and `advance`, which alone reads it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from esper.contracts.errors import IllegalTransitionError


class ServiceState(StrEnum):
    """Where a service of a running platform is."""

    WAITING = "waiting"
    """It has no process: not started yet, or it ended and its pause is not over."""
    STARTING = "starting"
    """Its process is there and does not take work yet."""
    READY = "ready"
    """It takes work."""
    UNREADY = "unready"
    """It was ready and says no longer that it is, or says nothing."""
    STOPPING = "stopping"
    """It was told to stop and finishes what it has."""
    STOPPED = "stopped"
    """It ended because it was told to."""


class ServiceEvent(StrEnum):
    """What happens to a service."""

    STARTED = "started"
    """Its process was started."""
    ANSWERED = "answered"
    """It said that it is ready."""
    MISSED = "missed"
    """Asked whether it is ready, it said no, or nothing."""
    TOLD = "told"
    """It was told to stop."""
    ENDED = "ended"
    """Its process ended."""


_S, _E = ServiceState, ServiceEvent

TABLE: Final[Mapping[tuple[ServiceState, ServiceEvent], ServiceState]] = MappingProxyType(
    {
        (_S.WAITING, _E.STARTED): _S.STARTING,
        (_S.WAITING, _E.TOLD): _S.STOPPED,
        (_S.STARTING, _E.ANSWERED): _S.READY,
        (_S.STARTING, _E.MISSED): _S.STARTING,
        (_S.STARTING, _E.TOLD): _S.STOPPING,
        (_S.STARTING, _E.ENDED): _S.WAITING,
        (_S.READY, _E.ANSWERED): _S.READY,
        (_S.READY, _E.MISSED): _S.UNREADY,
        (_S.READY, _E.TOLD): _S.STOPPING,
        (_S.READY, _E.ENDED): _S.WAITING,
        (_S.UNREADY, _E.ANSWERED): _S.READY,
        (_S.UNREADY, _E.MISSED): _S.UNREADY,
        (_S.UNREADY, _E.TOLD): _S.STOPPING,
        (_S.UNREADY, _E.ENDED): _S.WAITING,
        (_S.STOPPING, _E.TOLD): _S.STOPPING,
        (_S.STOPPING, _E.ENDED): _S.STOPPED,
    }
)
"""Every move that a service can make; there are no others."""


def advance(state: ServiceState, event: ServiceEvent) -> ServiceState:
    """Return the state that follows.

    Raises:
        IllegalTransitionError: The table has no such move.
    """
    try:
        return TABLE[state, event]
    except KeyError:
        raise IllegalTransitionError(
            f"a service that is {state.value} cannot take the event {event.value!r}"
        ) from None
