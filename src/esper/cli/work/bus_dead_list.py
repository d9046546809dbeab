"""Lists messages that were given up."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from esper.cli.bus_requests import DeadListRequest
from esper.cli.console import diagnostics, output, print_notice
from esper.cli.exit_codes import ExitCode
from esper.cli.work.bus_dead_show import as_data
from esper.cli.work.bus_text import about, read_topics
from esper.contracts.ports import DeadLetter
from esper.hosting.bus_access import shared_bus


def run(request: DeadListRequest) -> int:
    """Carry out `esper bus dead list`.

    Raises:
        ConfigError: A topic is none, or nobody names a bus.
        BusError: The bus cannot be reached, or refuses.
    """
    letters = asyncio.run(_letters(request))
    if request.as_json:
        output().print_json(json.dumps([as_data(letter) for letter in letters]))
    elif letters:
        output().print(_table(letters))
    else:
        print_notice(diagnostics(), "no message was given up")
    return ExitCode.OK


async def _letters(request: DeadListRequest) -> Sequence[DeadLetter]:
    topics = read_topics(request.topics)
    async with shared_bus(request.redis) as bus:
        return [letter for topic in topics for letter in await bus.dead(topic, limit=request.limit)]


def _table(letters: Sequence[DeadLetter]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("topic", "id", "given up by", "tries", "what", "error"):
        table.add_column(heading, overflow="fold")
    for letter in letters:
        table.add_row(
            Text(letter.message.topic.value, style="name"),
            letter.dead_id,
            letter.group,
            str(letter.tries),
            about(letter.message),
            Text(letter.error, style="bad"),
        )
    return table
