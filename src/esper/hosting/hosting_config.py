"""What a user may say about a platform on one machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from esper.contracts.errors import ConfigError
from esper.utils.ranges import AT_LEAST_0, COUNT, PORT, POSITIVE, Range, check_numbers, require


@dataclass(frozen=True, kw_only=True)
class HostingConfig:
    """Which services run, where they answer and keep their data, and how they are looked after."""

    folder: Path
    """Where the services keep their data, logs and secrets."""
    bus: str = "auto"
    """``valkey`` starts a Valkey server; ``redis://…`` or ``valkey://…`` uses that one;
    ``in-process`` goes without, so that trainers write into the run store themselves and cannot
    be told anything; ``auto`` takes ``valkey`` where its package is installed."""
    workers: int = 1
    """Blueprints that the forge builds at the same time; 0 runs no forge."""
    forge_options: tuple[str, ...] = ()
    """Further options of `esper tezzeret run`."""
    urza_port: int = 8420
    """Port of the library; 0 takes a free one, as for the others."""
    nissa_port: int = 8430
    """Port of the observer and its dashboard."""
    tezzeret_port: int = 8440
    """Port at which the forge says how it is."""
    bus_port: int = 8450
    """Port of the Valkey server, where one is started."""
    ready_seconds: float = 120.0
    """How long a service may take until it is ready; one that takes longer is killed and started
    again."""
    hung_seconds: float = 30.0
    """How long a service may go without saying that it lives, before the same happens to it."""
    look_seconds: float = 1.0
    """Pause between two looks at the services."""
    steady_seconds: float = 60.0
    """A service that lived this long before it ended is started again without a growing pause."""
    backoff_seconds: float = 0.5
    """First pause before a service that ended is started again; doubled by each further end."""
    backoff_most_seconds: float = 30.0
    """Longest such pause."""
    drain_seconds: float = 20.0
    """How long builds and requests may take to end after SIGTERM; a forge gives unfinished builds
    back then, which takes a while more."""
    log_bytes: int = 2**24
    """Size at which a service's log is put aside; one older log is kept."""

    def __post_init__(self) -> None:
        times = ("ready_seconds", "hung_seconds", "look_seconds", "backoff_seconds")
        check_numbers(
            self,
            "the platform's ",
            **dict.fromkeys(("urza_port", "nissa_port", "tezzeret_port", "bus_port"), PORT),
            **dict.fromkeys(times, POSITIVE),
            **dict.fromkeys(("drain_seconds", "steady_seconds"), AT_LEAST_0),
            workers=COUNT,
            log_bytes=Range(words="4096 or more", low=2**12),
        )
        known = self.bus in {"auto", "in-process", "valkey"}
        # Not the value: a URL may hold a password.
        if not known and not self.bus.startswith(("redis://", "valkey://")):
            raise ConfigError(
                "the platform's bus is none of auto, in-process, valkey, redis://… and valkey://…"
            )
        most = self.backoff_most_seconds
        require(
            most >= self.backoff_seconds,
            "the platform's backoff_most_seconds",
            most,
            "at least backoff_seconds",
        )
