"""Shows what a topic of the bus still holds."""

from __future__ import annotations

import asyncio
import time

from esper.cli.bus_requests import BusReplayRequest
from esper.cli.console import output
from esper.cli.exit_codes import ExitCode
from esper.cli.work.bus_text import print_message, read_position, read_topic
from esper.hosting.bus_access import shared_bus


def run(request: BusReplayRequest) -> int:
    """Carry out `esper bus replay`.

    Raises:
        ConfigError: The topic or a time is none, or nobody names a bus.
        BusError: The bus cannot be reached, or refuses.
    """
    asyncio.run(_replay(request))
    return ExitCode.OK


async def _replay(request: BusReplayRequest) -> None:
    topic, now = read_topic(request.topic), time.time()
    since = read_position(request.since, now)
    until = None if request.until is None else read_position(request.until, now)
    console, left = output(), request.limit
    async with shared_bus(request.redis) as bus:
        async for position, message in bus.replay(topic, since=since, until=until):
            print_message(console, position, message, as_json=request.as_json)
            left -= 1
            if not left:
                return
