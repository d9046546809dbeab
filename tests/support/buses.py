"""Buses for tests: each kind opened as often as a test likes, always the same messages in it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from esper.contracts.enums import TopicNames
from esper.contracts.messages import OonaMessage
from esper.contracts.ports import Bus, Delivery
from esper.services.oona.bus_config import OonaConfig
from esper.services.oona.open import open_bus

SEED = TopicNames.EVENTS_SEED
RACE = TopicNames.EVENTS_RACE


def message(number: int = 0, topic: TopicNames = SEED, **payload: Any) -> OonaMessage:
    return OonaMessage(
        sender_id="test/1",
        topic=topic,
        payload={"number": number, **payload},
        event_id=f"e{number}",
    )


def numbers(found: Sequence[Delivery | OonaMessage]) -> list[Any]:
    """The numbers of messages, however they come."""
    messages = [entry.message if isinstance(entry, Delivery) else entry for entry in found]
    return [entry.payload["number"] for entry in messages]


class BusPlace:
    """Where a bus is: a server with a prefix of its own, or this process (`url` is None)."""

    def __init__(self, url: str | None, folder: Path, **settings: Any) -> None:
        self.url = url
        self.config = OonaConfig(
            prefix=f"test-{uuid4().hex}:", claims=(folder / "claims").as_uri(), idle_seconds=60.0
        )
        self._opened: list[Bus] = []

    async def open(self, **settings: Any) -> Bus:
        """Open the bus as another process would; within a process there is only the one."""
        if self.url is None and self._opened:
            return self._opened[0]
        self.config = replace(self.config, **settings)
        bus = await open_bus(self.url, self.config)
        self._opened.append(bus)
        return bus

    async def close(self) -> None:
        for bus in self._opened:
            await bus.close()


async def everything(
    bus: Bus, group: str, consumer: str, topics: Sequence[TopicNames] = (SEED,), limit: int = 256
) -> list[Delivery]:
    """Consume until nothing comes any more, without acknowledging."""
    found: list[Delivery] = []
    while more := await bus.consume(
        topics, group=group, consumer=consumer, limit=limit, wait_seconds=0.02
    ):
        found += more
        await asyncio.sleep(0)
    return found
