"""Opening a bus by its URL: inside this process, or on a Redis or Valkey server."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from esper.contracts.errors import ConfigError
from esper.contracts.ports import Bus, Clock
from esper.services.oona.bus_config import OonaConfig
from esper.services.oona.memory_bus import InProcessBus
from esper.utils.clock import SystemClock
from esper.utils.extras import load

SCHEMES: Final = ("redis", "rediss", "valkey", "valkeys")
"""What a server's URL may begin with; the `s` at the end asks for TLS."""


def check_url(url: str) -> None:
    """Refuse a URL that names no server, and a server where what reaches it is not installed.

    Raises:
        ConfigError: Says which. The server itself is not contacted.
    """
    try:
        place = urlsplit(url)
        valid = place.scheme in SCHEMES and bool(place.hostname) and (place.port or 1) > 0
    except ValueError:
        valid = False
    if not valid:
        # Without the URL itself: it may hold a password.
        raise ConfigError(
            "the bus's URL is not valid; give redis://[:password@]host:port/number, or valkey://..."
        )
    load("esper.services.oona.redis_bus", extra="oona")


async def open_bus(
    url: str | None, config: OonaConfig | None = None, clock: Clock | None = None
) -> Bus:
    """Return the bus at `url`; None makes one that lives in this process, on this event loop.

    A server is not contacted before the first message.

    Raises:
        ConfigError: The URL is none, or the extra `oona` is not installed.
    """
    config = OonaConfig() if config is None else config
    clock = SystemClock() if clock is None else clock
    if url is None:
        return InProcessBus(config, clock)
    check_url(url)
    bus: Bus = load("esper.services.oona.redis_bus", extra="oona").RedisBus(url, config, clock)
    return bus
