"""RedisBus: the bus over the streams of a Redis or Valkey server, 7.0 or newer.

A topic is a stream, a message one entry with one field. Groups, pending entries and their counts of
deliveries are the server's own; what must happen in one piece is in `redis_scripts.py`. One server:
a cluster would keep a topic and its dead letters apart.
"""

from __future__ import annotations

import logging
import re
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, Final

from esper.contracts.enums import TopicNames
from esper.contracts.errors import BusError, BusUnavailableError
from esper.contracts.messages import OonaMessage
from esper.contracts.ports import Clock, DeadLetter, Delivery, GroupLag
from esper.services.oona import redis_scripts
from esper.services.oona.bus_config import OonaConfig
from esper.services.oona.bus_wire import Wire
from esper.services.oona.claims import UnreadableError
from esper.services.oona.redis_client import (
    Command,
    NoGroupError,
    RedisClient,
    entries_of,
    fields_of,
)
from esper.services.oona.redis_reader import JOINED, RedisReader
from esper.services.oona.redis_upkeep import RedisUpkeep

logger = logging.getLogger(__name__)

_PAGE: Final = 500
"""Entries asked for at once where all are wanted."""

_MOST_AT_ONCE: Final = 500
"""Messages that the server takes in one piece; others wait meanwhile."""

_POSITION: Final = re.compile(r"(\d+)(?:-(\d+))?")
_LARGEST: Final = 2**64 - 1


_RECENT_SECONDS: Final = 4.0
"""Two seconds for which the server may put off writing, and time for it to be noticed."""

_RECENT_BYTES: Final = 64 * 2**20
"""A batch that is larger by itself is not kept."""

Batch = Mapping[TopicNames, Sequence[bytes]]
"""Entries by topic, in order."""


class RecentlySent:
    """Keeps the batches of the last seconds, within a bound on their size, in case the server forgets them.

    With `appendfsync everysec` a server writes its append-only file before it answers, unless the
    disk is still busy with the second before: then it answers first, and writes up to two seconds
    later. Killed in between, it has lost what it had acknowledged.

    Args:
        clock: Tells how old they are.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._batches: deque[tuple[float, int, Batch]] = deque()
        self._bytes = 0

    def add(self, batch: Batch) -> None:
        """Keep a batch that was just published."""
        size = sum(len(entry) for entries in batch.values() for entry in entries)
        self._batches.append((self._clock.monotonic(), size, batch))
        self._bytes += size
        self._forget()

    def all(self) -> Sequence[Batch]:
        """Return what was published in the seconds up to the last publication, in order.

        However long ago that is: a server may take its time to come back.
        """
        return [batch for _, _, batch in self._batches]

    def renew(self) -> None:
        """Say that all of it was published again just now."""
        now = self._clock.monotonic()
        self._batches = deque((now, size, batch) for _, size, batch in self._batches)

    def _forget(self) -> None:
        before = self._clock.monotonic() - _RECENT_SECONDS
        while self._batches and (self._batches[0][0] < before or self._bytes > _RECENT_BYTES):
            self._bytes -= self._batches.popleft()[1]


class RedisBus:
    """Implements the port `Bus`. Belongs to one event loop; no connection before the first question.

    Args:
        url: Of the server.
        config: Keys, sizes, retention, time limits.
        clock: Tells when to look again for what others left pending.
    """

    def __init__(self, url: str, config: OonaConfig, clock: Clock) -> None:
        self._config = config
        self._client = RedisClient(url, config)
        self._wire = Wire(config)
        self._reader = RedisReader(self._client, self._wire, config, clock)
        self._upkeep = RedisUpkeep(self._client, self._wire.claims, config)
        self._recent = RecentlySent(clock)
        # Which life of the server this is, and how many connections had been opened when it was asked.
        self._server: str | None = None
        self._connections = 0
        self._joined: set[tuple[TopicNames, str]] = set()

    async def publish(self, messages: Sequence[OonaMessage]) -> None:
        """Hand messages over; see the port.

        A server that was killed may have lost what it had acknowledged in its last seconds: when it
        is there again, that is sent again, too. Receivers know it by the event ids.

        Raises:
            BusError: A message cannot be written, or is too large; none of them was sent.
        """
        by_topic: dict[TopicNames, list[bytes]] = {}
        for message in messages:
            data = await self._wire.pack(message, f"live/{message.topic.value}")
            by_topic.setdefault(message.topic, []).append(data)
        await self._send(by_topic)
        if self._client.connections != self._connections:
            await self._send_again_after_a_restart()
        self._recent.add(by_topic)

    async def _send(self, by_topic: Batch) -> None:
        commands: list[Command] = []
        for part in _parts(by_topic):
            streams = [self._config.stream(topic) for topic in part]
            entries: list[int | bytes] = []
            for more in part.values():
                entries += (len(more), *more)
            commands.append(("EVAL", redis_scripts.PUBLISH, len(streams), *streams, *entries))
        await self._client.ask_all(commands)

    async def _send_again_after_a_restart(self) -> None:
        connections = self._client.connections
        answer = await self._client.ask("EVAL", redis_scripts.SERVER, 0)
        if answer is None:
            raise BusError("the bus does not say who it is (INFO server has no run_id)")
        server = answer.decode()
        if self._server not in {None, server}:
            recent = self._recent.all()
            logger.warning("The bus was started again; sending %d batches again", len(recent))
            for batch in recent:
                await self._send(batch)
            # It may be killed once more before that is written.
            self._recent.renew()
        self._server, self._connections = server, connections

    async def join(self, topics: Sequence[TopicNames], group: str, *, since: str = "$") -> None:
        """Make a group, unless it exists; see the port."""
        await self._create(topics, group, since if since in {"$", "0"} else _before(since))
        self._joined.update((topic, group) for topic in topics)
        # Whoever joins begins anew: what it had pending comes again.
        self._reader.begin_anew()

    async def _create(self, topics: Sequence[TopicNames], group: str, start: str) -> None:
        streams = [self._config.stream(topic) for topic in topics]
        answers = await self._client.try_all(
            [("XGROUP", "CREATE", stream, group, start, "MKSTREAM") for stream in streams]
        )
        for answer in answers:
            if isinstance(answer, BusError) and "BUSYGROUP" not in str(answer):  # it exists
                raise answer
        await self._client.try_all(
            [
                ("XGROUP", "CREATECONSUMER", stream, group, JOINED)
                for stream, answer in zip(streams, answers, strict=True)
                if not isinstance(answer, BusError)
            ]
        )

    async def consume(
        self,
        topics: Sequence[TopicNames],
        *,
        group: str,
        consumer: str,
        limit: int = 256,
        wait_seconds: float = 1.0,
    ) -> Sequence[Delivery]:
        """Return up to `limit` messages; see the port.

        Raises:
            BusError: The group has not joined a topic.
        """
        while True:
            try:
                return await self._reader.read(topics, group, consumer, limit, wait_seconds)
            except NoGroupError:
                if not all((topic, group) in self._joined for topic in topics):
                    raise
                # The server came back without its data, or the group counted as dead.
                logger.warning(
                    "The bus lost the group %s; it begins again with what is there", group
                )
                self._reader.begin_anew()
                await self._create(topics, group, "0")
            except BusUnavailableError:
                # The server may have delivered what never arrived.
                self._reader.begin_anew()
                raise

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Say that the group is done with these messages."""
        ids: dict[tuple[TopicNames, str], list[str]] = {}
        for delivery in deliveries:
            ids.setdefault((delivery.message.topic, delivery.group), []).append(delivery.position)
        await self._client.ask_all(
            [
                ("XACK", self._config.stream(topic), group, *positions)
                for (topic, group), positions in ids.items()
            ]
        )

    async def bury(self, delivery: Delivery, error: str) -> None:
        """Give a message up; see the port."""
        topic = delivery.message.topic
        data = await self._wire.pack(delivery.message, f"dead/{topic.value}")
        await self._reader.bury(
            topic, delivery.group, delivery.position, data, error, delivery.tries
        )

    async def replay(
        self, topic: TopicNames, *, since: str = "0", until: str | None = None
    ) -> AsyncIterator[tuple[str, OonaMessage]]:
        """Yield what a topic still holds; see the port."""
        stream, low, high = self._config.stream(topic), since, "+" if until is None else until
        while page := await self._client.ask("XRANGE", stream, low, high, "COUNT", _PAGE):
            for position, data in entries_of(page):
                try:
                    message = await self._wire.unpack(data, topic, f"live/{topic.value}")
                except UnreadableError as error:
                    logger.warning("Leaving out an entry at %s: %s", position, error)
                else:
                    yield position, message
            low = f"({page[-1][0].decode()}"

    async def dead(self, topic: TopicNames, *, limit: int = 100) -> Sequence[DeadLetter]:
        """Return the dead letters of a topic, the oldest first."""
        stream = self._config.dead_stream(topic)
        page = await self._client.ask("XRANGE", stream, "-", "+", "COUNT", limit)
        return [await self._dead_letter(topic, position, flat) for position, flat in page]

    async def _dead_letter(self, topic: TopicNames, position: bytes, flat: Any) -> DeadLetter:
        fields = fields_of(flat)
        data = fields[b"m"]
        try:
            message = await self._wire.unpack(data, topic, f"dead/{topic.value}")
        except UnreadableError:
            # It lies there because it cannot be read: shown as it is.
            text = data.decode(errors="replace")
            message = OonaMessage(sender_id="unknown", topic=topic, payload={"unreadable": text})
        return DeadLetter(
            dead_id=position.decode(),
            message=message,
            group=fields[b"group"].decode(),
            error=fields[b"error"].decode(errors="replace"),
            tries=int(fields[b"tries"]),
        )

    async def retry(self, topic: TopicNames, dead_id: str) -> None:
        """Publish a dead letter again; see the port."""
        stream, dead = self._config.stream(topic), self._config.dead_stream(topic)
        page = []
        if _POSITION.fullmatch(dead_id):
            page = await self._client.ask("XRANGE", dead, dead_id, dead_id)
        if not page:
            raise BusError(
                f"the topic {topic.value!r} has no dead letter {dead_id!r}; list those that it has"
            )
        data = fields_of(page[0][1])[b"m"]
        try:
            message = await self._wire.unpack(data, topic, f"dead/{topic.value}")
            data = await self._wire.pack(message, f"live/{topic.value}")
        except UnreadableError as error:
            logger.warning("Publishing %s again as it is: %s", dead_id, error)
        await self._client.ask("EVAL", redis_scripts.RETRY, 2, dead, stream, dead_id, data)

    async def lag(self) -> Sequence[GroupLag]:
        """Return how far every group is behind each of its topics."""
        return await self._upkeep.lag()

    async def trim(self) -> int:
        """Remove what every group is done with and retention no longer asks for."""
        return await self._upkeep.trim()

    async def leave(self, topics: Sequence[TopicNames], group: str) -> None:
        """Remove a group, with whatever it had pending."""
        self._joined.difference_update((topic, group) for topic in topics)
        # A topic without a stream has no groups to leave: that answer is as good.
        await self._client.try_all(
            [("XGROUP", "DESTROY", self._config.stream(topic), group) for topic in topics]
        )

    async def close(self) -> None:
        """Release connections. Unacknowledged messages stay pending."""
        await self._client.close()


def _before(position: str) -> str:
    """Return the largest id below a position: a group that begins there gets the position first."""
    match = _POSITION.fullmatch(position)
    if match is None:
        raise BusError(f"{position!r} is no position; give milliseconds, or milliseconds-number")
    milliseconds, number = int(match[1]), int(match[2] or 0)
    if number:
        return f"{milliseconds}-{number - 1}"
    return f"{milliseconds - 1}-{_LARGEST}" if milliseconds else "0"


def _parts(by_topic: Batch) -> Iterator[Batch]:
    """Cut a batch into parts that the server can take in one piece."""
    entries = [(topic, entry) for topic, several in by_topic.items() for entry in several]
    for start in range(0, len(entries), _MOST_AT_ONCE):
        part: dict[TopicNames, list[bytes]] = {}
        for topic, entry in entries[start : start + _MOST_AT_ONCE]:
            part.setdefault(topic, []).append(entry)
        yield part
