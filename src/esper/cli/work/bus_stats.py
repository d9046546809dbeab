"""Shows how far groups of the bus are behind, and how many messages were given up."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from esper.cli.bus_requests import BusStatsRequest
from esper.cli.console import output
from esper.cli.exit_codes import ExitCode
from esper.contracts.enums import TopicNames
from esper.contracts.ports import Bus, GroupLag
from esper.hosting.bus_access import shared_bus
from esper.services.oona.bus_config import OonaConfig


def run(request: BusStatsRequest) -> int:
    """Carry out `esper bus stats`.

    Raises:
        ConfigError: Nobody names a bus.
        BusError: The bus cannot be reached, or refuses.
    """
    groups, dead = asyncio.run(_stats(request))
    console = output()
    if request.as_json:
        told = {"groups": [asdict(group) for group in groups], "dead": dead}
        console.print_json(json.dumps(told))
    else:
        _show(console, groups, dead)
    return ExitCode.OK


async def _stats(request: BusStatsRequest) -> tuple[Sequence[GroupLag], Mapping[str, int]]:
    async with shared_bus(request.redis) as bus:
        groups = await bus.lag()
        dead = {topic.value: await _dead(bus, topic) for topic in TopicNames}
    return groups, {topic: count for topic, count in dead.items() if count}


async def _dead(bus: Bus, topic: TopicNames) -> int:
    return len(await bus.dead(topic, limit=OonaConfig().keep_dead))


def _show(console: Console, groups: Sequence[GroupLag], dead: Mapping[str, int]) -> None:
    if not groups:
        console.print(Text("no group reads from this bus", style="quiet"))
    else:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for heading in ("topic", "group", "waiting", "pending", "oldest", "consumers"):
            numeric = heading not in {"topic", "group"}
            table.add_column(heading, justify="right" if numeric else "left", overflow="fold")
        for group in groups:
            table.add_row(
                Text(group.topic.value, style="name"),
                group.group,
                f"{group.waiting:,}",
                f"{group.pending:,}",
                f"{group.oldest_seconds:.1f} s" if group.waiting or group.pending else "",
                str(group.consumers),
            )
        console.print(table)
    for topic, count in dead.items():
        letters = "message" if count == 1 else "messages"
        line = f"{count:,} {letters} of {topic} given up: esper bus dead list {topic}"
        console.print(Text(line, style="bad"), soft_wrap=True)
