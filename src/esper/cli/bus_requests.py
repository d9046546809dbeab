"""What a user asked of the bus, one frozen class for each command."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class BusTailRequest:
    """`esper bus tail`."""

    redis: str | None
    """URL of the bus; None takes the environment's or the platform's. The same in all of these."""
    topics: tuple[str, ...]
    """None means all."""
    since: str
    as_json: bool


@dataclass(frozen=True, kw_only=True)
class BusReplayRequest:
    """`esper bus replay`."""

    redis: str | None
    topic: str
    since: str
    until: str | None
    limit: int
    as_json: bool


@dataclass(frozen=True, kw_only=True)
class BusStatsRequest:
    """`esper bus stats`."""

    redis: str | None
    as_json: bool


@dataclass(frozen=True, kw_only=True)
class DeadListRequest:
    """`esper bus dead list`."""

    redis: str | None
    topics: tuple[str, ...]
    limit: int
    as_json: bool


@dataclass(frozen=True, kw_only=True)
class DeadShowRequest:
    """`esper bus dead show`."""

    redis: str | None
    topic: str
    dead_id: str


@dataclass(frozen=True, kw_only=True)
class DeadRetryRequest:
    """`esper bus dead retry`."""

    redis: str | None
    topic: str
    dead_ids: tuple[str, ...]
    """None together with `everything` only."""
    everything: bool


@dataclass(frozen=True, kw_only=True)
class ControlRequest:
    """`esper control`."""

    redis: str | None
    run: str
    """Id of a run, its beginning, or the run's folder."""
    action: str
    seed: str | None
    """`LAYER` or `LAYER#SLOT`."""
    kernel: str | None
    alpha: float | None
    reason: str
    wait_seconds: float | None
    """How long the result is waited for; None does not wait."""
