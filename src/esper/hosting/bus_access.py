"""Which bus is meant, for whoever is started by a person: a command, or a trainer."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from esper.contracts.errors import ConfigError
from esper.contracts.ports import Bus
from esper.hosting.discovery import find
from esper.services.oona.open import open_bus
from esper.utils.bus_address import URL, URL_FILE, bus_url


def find_bus(url: str | None = None) -> str | None:
    """Return the URL of the bus: the given one, the environment's, or the running platform's.

    Raises:
        ConfigError: The environment contradicts itself.
    """
    if url or (url := bus_url(os.environ)):
        return url
    platform = find()
    return None if platform is None else platform.bus_url


@asynccontextmanager
async def shared_bus(url: str | None = None) -> AsyncIterator[Bus]:
    """Open the bus that `find_bus` names; closed at the end of the block.

    A server is not contacted before the first question.

    Raises:
        ConfigError: Nobody names a bus, the URL is none, or the extra `oona` is not installed.
    """
    found = find_bus(url)
    if found is None:
        raise ConfigError(
            f"no bus is named: give --redis URL, set {URL} or {URL_FILE}, or start a platform with "
            "`esper up`"
        )
    bus = await open_bus(found)
    try:
        yield bus
    finally:
        await bus.close()
