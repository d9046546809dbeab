"""Shows messages of the bus as they come."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import Final

from esper.cli.bus_requests import BusTailRequest
from esper.cli.console import output
from esper.cli.exit_codes import ExitCode
from esper.cli.work.bus_text import print_message, read_position, read_topics
from esper.contracts.enums import TopicNames
from esper.contracts.messages import OonaMessage
from esper.contracts.ports import Bus
from esper.hosting.bus_access import shared_bus

_PAUSE_SECONDS: Final = 0.25


def run(request: BusTailRequest) -> int:
    """Carry out `esper bus tail`; Ctrl-C is its ordinary end.

    Raises:
        ConfigError: A topic or time is none, or nobody names a bus.
        BusError: The bus cannot be reached, or refuses.
    """
    _warn_once()
    try:
        asyncio.run(_follow(request))
    except KeyboardInterrupt:
        return ExitCode.OK
    return ExitCode.OK


def _warn_once() -> None:
    """Show each warning once: an entry that cannot be read is met again at every look."""
    seen: set[str] = set()

    def is_new(record: logging.LogRecord) -> bool:
        text = record.getMessage()
        known = text in seen
        seen.add(text)
        return not known

    handler = logging.StreamHandler()
    handler.addFilter(is_new)
    logging.basicConfig(handlers=[handler], format="%(message)s", level=logging.WARNING)


async def _follow(request: BusTailRequest) -> None:
    topics = read_topics(request.topics)
    after = dict.fromkeys(topics, read_position(request.since, time.time()))
    console = output()
    async with shared_bus(request.redis) as bus:
        while True:
            # Read, not consumed: a group would hold back trimming, and count as one that lags.
            pages = await asyncio.gather(*(_news(bus, topic, after[topic]) for topic in topics))
            for page in pages:
                if page:
                    after[page[-1][1].topic] = page[-1][0]
            news = sorted((one for page in pages for one in page), key=_when)
            for position, message in news:
                print_message(console, position, message, as_json=request.as_json)
            await asyncio.sleep(_PAUSE_SECONDS)


async def _news(bus: Bus, topic: TopicNames, after: str) -> Sequence[tuple[str, OonaMessage]]:
    found = bus.replay(topic, since=after)
    return [(position, message) async for position, message in found if position != after]


def _when(one: tuple[str, OonaMessage]) -> tuple[int, ...]:
    return tuple(int(part) for part in one[0].split("-"))
