"""Which bus is meant, by the environment, a command or a trainer."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

from esper.contracts.errors import ConfigError
from esper.contracts.ports import Bus
from esper.hosting.discovery import find
from esper.services.oona.open import open_bus
from esper.utils.environment import secret_from


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


URL: Final = "ESPER_REDIS_URL"
URL_FILE: Final = "ESPER_REDIS_URL_FILE"


def bus_url(environ: Mapping[str, str]) -> str | None:
    """Return `ESPER_REDIS_URL`, or what the file holds that `ESPER_REDIS_URL_FILE` names.

    Returns:
        The URL of a Redis or Valkey server, password included; None where neither is set.

    Raises:
        ConfigError: Both are set, or the file cannot be read.
    """
    return secret_from(environ, URL)
