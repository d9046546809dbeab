"""What a user asked of the platform, one frozen class for each command."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class UpRequest:
    """`esper up`."""

    folder: Path | None
    """Where its data lies; None is the user's own."""
    bus: str | None
    workers: int | None
    urza_port: int | None
    nissa_port: int | None
    tezzeret_port: int | None
    bus_port: int | None


@dataclass(frozen=True, kw_only=True)
class StatusRequest:
    """`esper status`."""

    as_json: bool


@dataclass(frozen=True, kw_only=True)
class NissaServeRequest:
    """`esper nissa serve`."""

    host: str | None
    port: int | None
    store: str | None
    """URL of the run store; None is the user's own."""
    redis: str | None
    """URL of the bus; None asks the environment."""
    dashboard: bool
