"""Shows one message that was given up."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from esper.cli.bus_requests import DeadShowRequest
from esper.cli.console import output
from esper.cli.exit_codes import ExitCode
from esper.cli.work.bus_text import read_topic
from esper.contracts.errors import BusError
from esper.contracts.ports import DeadLetter
from esper.hosting.bus_access import shared_bus
from esper.services.oona.bus_config import OonaConfig


def run(request: DeadShowRequest) -> int:
    """Carry out `esper bus dead show`.

    Raises:
        ConfigError: The topic is none, or nobody names a bus.
        BusError: There is no such dead letter, or the bus cannot be reached.
    """
    letter = asyncio.run(_letter(request))
    output().print_json(json.dumps(as_data(letter)))
    return ExitCode.OK


def as_data(letter: DeadLetter) -> dict[str, Any]:
    """A dead letter as plain data."""
    return {
        "dead_id": letter.dead_id,
        "group": letter.group,
        "tries": letter.tries,
        "error": letter.error,
        "message": letter.message.model_dump(mode="json", exclude={"claim"}),
    }


async def _letter(request: DeadShowRequest) -> DeadLetter:
    topic = read_topic(request.topic)
    async with shared_bus(request.redis) as bus:
        letters = await bus.dead(topic, limit=OonaConfig().keep_dead)
    for letter in letters:
        if letter.dead_id == request.dead_id:
            return letter
    raise BusError(
        f"the topic {topic.value!r} has no dead letter {request.dead_id!r}; "
        f"esper bus dead list {topic.value} shows those that it has"
    )
