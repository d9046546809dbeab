"""RedisReader: what a consumer of a group is given next, on a Redis or Valkey server.

First what it left pending before it was started, then what others left too long, then new messages.
`XPENDING` and `XCLAIM` do the first two: the one tells how often an entry was delivered before the
other delivers it again, so that a message which kills its consumers can be told from its neighbours.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

from esper.contracts.enums import TopicNames
from esper.contracts.ports import Clock, Delivery
from esper.services.oona import redis_scripts
from esper.services.oona.bus_config import OonaConfig
from esper.services.oona.bus_wire import Wire, read_entry
from esper.services.oona.claims import UnreadableError
from esper.services.oona.redis_client import Command, RedisClient, entries_of
from esper.utils.collecting import collecting_later

logger = logging.getLogger(__name__)

JOINED: Final = "joined"
"""Stands among a group's consumers until the first real one reads, so that the server knows since
when nobody has."""


class RedisReader:
    """Reads for groups.

    Args:
        client: The server.
        wire: Unpacks what it answers.
        config: Keys, sizes, and how long others may have a message pending.
        clock: Tells when to look again for what others left pending.
    """

    def __init__(self, client: RedisClient, wire: Wire, config: OonaConfig, clock: Clock) -> None:
        self._client = client
        self._wire = wire
        self._config = config
        self._clock = clock
        # For each consumer of a topic, up to where what it had pending came again; None: all did.
        self._own_after: dict[tuple[TopicNames, str, str], str | None] = {}
        self._looked: dict[tuple[str, str], float] = {}
        self._turn = 0

    def begin_anew(self) -> None:
        """Give every consumer again what it has pending: it was started, or lost an answer."""
        self._own_after.clear()
        self._looked.clear()

    async def read(
        self, topics: Sequence[TopicNames], group: str, consumer: str, limit: int, wait: float
    ) -> Sequence[Delivery]:
        """Return up to `limit` messages, or none after `wait` seconds.

        Raises:
            NoGroupError: The group has not joined a topic.
        """
        while (own := await self._own(topics, group, consumer, limit)) is not None:
            if own:
                return own
        idle = await self._idle(topics, group, consumer, limit)
        if idle:
            return idle
        if limit < len(topics):
            # Each stream answers with one entry at least: they take turns.
            self._turn += 1
            topics = [topics[(self._turn + number) % len(topics)] for number in range(limit)]
        return await self._new(topics, group, consumer, limit, wait)

    async def _own(
        self, topics: Sequence[TopicNames], group: str, consumer: str, limit: int
    ) -> list[Delivery] | None:
        """Return some of what the consumer left pending before it was started; None at the end."""
        keys = [(topic, group, consumer) for topic in topics]
        waiting = [key for key in keys if self._own_after.get(key, "0") is not None]
        if not waiting:
            return None
        if not any(key in self._own_after for key in keys):
            await self._greet(topics, group, consumer)
        for key in waiting:
            after = f"({self._own_after.get(key) or '0'}"
            stream = self._config.stream(key[0])
            page = await self._client.ask("XPENDING", stream, group, after, "+", limit, consumer)
            if page:
                page = self._together(page)
                self._own_after[key] = page[-1][0].decode()
                return await self._again(key, page, 0)
            self._own_after[key] = None
        return None

    async def _greet(self, topics: Sequence[TopicNames], group: str, consumer: str) -> None:
        commands: list[Command] = []
        for topic in topics:
            stream = self._config.stream(topic)
            commands.append(("XGROUP", "CREATECONSUMER", stream, group, consumer))
            commands.append(("XGROUP", "DELCONSUMER", stream, group, JOINED))
        await self._client.ask_all(commands)

    async def _idle(
        self, topics: Sequence[TopicNames], group: str, consumer: str, limit: int
    ) -> list[Delivery]:
        """Take over what any consumer has had pending for too long."""
        now, milliseconds = self._clock.monotonic(), int(self._config.idle_seconds * 1000)
        if now < self._looked.get((group, consumer), 0.0) + self._config.idle_seconds / 4:
            return []
        pages = await self._client.ask_all(
            [
                ("XPENDING", self._config.stream(t), group, "IDLE", milliseconds, "-", "+", limit)
                for t in topics
            ]
        )
        for topic, page in zip(topics, pages, strict=True):
            found = await self._again((topic, group, consumer), page, milliseconds)
            if found:
                return found
        self._looked[group, consumer] = now
        return []

    async def _again(
        self, key: tuple[TopicNames, str, str], page: Sequence[Any], idle: int
    ) -> list[Delivery]:
        if not page:
            return []
        topic, group, consumer = key
        page = self._together(page)
        ids = [entry[0] for entry in page]
        # Who claims at the same time gets nothing: the first claim makes the entry young again.
        claimed = await self._client.ask(
            "XCLAIM", self._config.stream(topic), group, consumer, idle, *ids
        )
        tries = {entry[0].decode(): entry[3] + 1 for entry in page}
        return await self._deliveries(topic, group, claimed, tries)

    def _together(self, page: Sequence[Any]) -> Sequence[Any]:
        """Return those of the first entries of an answer to `XPENDING` that may come together."""
        return page[: self._config.together(entry[3] for entry in page)]

    async def _new(
        self, topics: Sequence[TopicNames], group: str, consumer: str, limit: int, wait: float
    ) -> list[Delivery]:
        reader = ("XREADGROUP", "GROUP", group, consumer)
        count = limit // len(topics)
        found = await self._ask(reader, topics, count, wait)
        busy = [topic for topic, entries in found if len(entries) == count]
        left = limit - sum(len(entries) for _, entries in found)
        if busy and left >= len(busy):
            # What the quiet topics left of the limit goes to the busy ones.
            found += await self._ask(reader, busy, left // len(busy), 0.0)
        return [
            delivery
            for topic, entries in found
            for delivery in await self._deliveries(topic, group, entries, {})
        ]

    async def _ask(
        self, reader: Command, topics: Sequence[TopicNames], count: int, wait: float
    ) -> list[tuple[TopicNames, Any]]:
        block: Command = ("BLOCK", max(1, int(wait * 1000))) if wait > 0 else ()
        by_stream = {self._config.stream(topic).encode(): topic for topic in topics}
        news: Command = (">",) * len(topics)
        answer = await self._client.ask(
            *reader, "COUNT", count, *block, "STREAMS", *by_stream, *news, wait_seconds=wait
        )
        return [(by_stream[stream], entries) for stream, entries in answer or ()]

    async def _deliveries(
        self, topic: TopicNames, group: str, entries: Any, tries: Mapping[str, int]
    ) -> list[Delivery]:
        """Read entries; what lies under a claim is picked up, what cannot be read given up."""
        # Thousands of new objects, none of them garbage: to look for some among them would take as
        # long as to make them.
        with collecting_later():
            read = [(*entry, read_entry(entry[1], topic)) for entry in entries_of(entries)]
        deliveries = []
        for position, data, found in read:
            count = tries.get(position, 1)
            try:
                message = await self._wire.complete(found, f"live/{topic.value}")
            except UnreadableError as error:
                logger.warning("Giving up an entry for the group %s: %s", group, error)
                await self.bury(topic, group, position, data, str(error), count)
            else:
                deliveries.append(
                    Delivery(message=message, position=position, group=group, tries=count)
                )
        return deliveries

    async def bury(
        self, topic: TopicNames, group: str, position: str, data: bytes, error: str, tries: int
    ) -> None:
        """Move an entry to the dead letters of its topic, unless the group is done with it."""
        streams = (self._config.stream(topic), self._config.dead_stream(topic))
        most = self._config.keep_dead
        await self._client.ask(
            *("EVAL", redis_scripts.BURY, len(streams), *streams),
            *(group, position, most, data, error, tries),
        )
