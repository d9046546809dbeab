"""Publishes messages that were given up once more."""

from __future__ import annotations

import asyncio

from rich.text import Text

from esper.cli.bus_requests import DeadRetryRequest
from esper.cli.console import diagnostics
from esper.cli.exit_codes import ExitCode
from esper.cli.work.bus_text import read_topic
from esper.contracts.errors import ConfigError
from esper.hosting.bus_access import shared_bus
from esper.services.oona.bus_config import OonaConfig


def run(request: DeadRetryRequest) -> int:
    """Carry out `esper bus dead retry`.

    Raises:
        ConfigError: The topic is none, nothing or too much is asked for, or nobody names a bus.
        BusError: There is no such dead letter, or the bus cannot be reached.
    """
    if bool(request.dead_ids) == request.everything:
        raise ConfigError("say which messages are to be tried again: give their ids, or --all")
    count = asyncio.run(_retry(request))
    diagnostics().print(
        Text(f"{count} {'message' if count == 1 else 'messages'} published again", style="good")
    )
    return ExitCode.OK


async def _retry(request: DeadRetryRequest) -> int:
    topic = read_topic(request.topic)
    async with shared_bus(request.redis) as bus:
        ids = list(request.dead_ids)
        if request.everything:
            letters = await bus.dead(topic, limit=OonaConfig().keep_dead)
            ids = [letter.dead_id for letter in letters]
        for dead_id in ids:
            await bus.retry(topic, dead_id)
    return len(ids)
