"""InProcessBus: the bus inside one process, for parts that share an event loop.

It makes the promises of the port `Bus`, except that nothing outlives the process.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from esper.contracts.enums import TopicNames
from esper.contracts.errors import BusError, BusUnavailableError
from esper.contracts.messages import OonaMessage
from esper.contracts.ports import Clock, DeadLetter, Delivery, GroupLag
from esper.services.oona.bus_config import OonaConfig


@dataclass(slots=True)
class _Pending:
    consumer: str
    since: float
    tries: int
    again: bool = False
    """Whether its consumer has joined anew since, and is given it again."""


@dataclass(slots=True)
class _Group:
    after: int
    """Number of the last message that was given to it."""
    seen: float
    """When somebody last read for it."""
    pending: dict[int, _Pending] = field(default_factory=dict)
    """By number; the longest pending first."""
    consumers: set[str] = field(default_factory=set)

    def low_water(self) -> int:
        return min(min(self.pending, default=self.after + 1), self.after + 1)


class _Topic:
    """Messages by number, each with the time at which it came."""

    def __init__(self) -> None:
        self.first = 1
        self.last = 0
        self.entries: dict[int, tuple[OonaMessage, float]] = {}
        self.groups: dict[str, _Group] = {}
        self.dead: dict[str, DeadLetter] = {}

    def append(self, messages: Sequence[OonaMessage], now: float) -> None:
        self.entries.update(
            (number, (message, now)) for number, message in enumerate(messages, self.last + 1)
        )
        self.last += len(messages)

    def drop_before(self, number: int) -> int:
        dropped = range(self.first, min(number, self.last + 1))
        for old in dropped:
            del self.entries[old]
        self.first += len(dropped)
        return len(dropped)

    def first_since(self, moment: float) -> int:
        young = (number for number, (_, came) in self.entries.items() if came >= moment)
        return next(young, self.last + 1)

    def low_water(self) -> int:
        return min((group.low_water() for group in self.groups.values()), default=self.last + 1)


class InProcessBus:
    """Implements the port `Bus`. Belongs to one event loop; messages are handed over as they are.

    Args:
        config: How much is held, and when messages and groups are given up.
        clock: Tells how long something has been pending.
    """

    def __init__(self, config: OonaConfig, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._topics = {topic: _Topic() for topic in TopicNames}
        self._news = asyncio.Event()
        self._dead_ids = itertools.count(1)

    async def publish(self, messages: Sequence[OonaMessage]) -> None:
        """Hand messages over; see the port.

        Raises:
            BusUnavailableError: A group is too far behind for a topic to take all of them; none of
                them was taken.
        """
        by_topic: dict[TopicNames, list[OonaMessage]] = {}
        for message in messages:
            by_topic.setdefault(message.topic, []).append(message)
        for name, more in by_topic.items():
            self._make_room(name, len(more))
        now = self._clock.now()
        for name, more in by_topic.items():
            self._topics[name].append(more, now)
        self._news.set()
        self._news = asyncio.Event()

    def _make_room(self, name: TopicNames, more: int) -> None:
        topic = self._topics[name]
        excess = len(topic.entries) + more - self._config.held_messages
        if excess <= 0:
            return
        topic.drop_before(min(topic.first + excess, topic.low_water()))
        if topic.entries and len(topic.entries) + more > self._config.held_messages:
            slowest = min(topic.groups, key=lambda group: topic.groups[group].low_water())
            raise BusUnavailableError(
                f"the topic {name.value!r} holds {len(topic.entries)} messages, and the group "
                f"{slowest!r} is not done with them; wait for it, or let it leave"
            )

    async def join(self, topics: Sequence[TopicNames], group: str, *, since: str = "$") -> None:
        """Make a group, unless it exists; see the port."""
        for name in topics:
            topic = self._topics[name]
            if group in topic.groups:
                # Whoever joins begins anew: what it had pending comes again.
                for entry in topic.groups[group].pending.values():
                    entry.again = True
            else:
                after = topic.last if since == "$" else max(_number(since), topic.first) - 1
                topic.groups[group] = _Group(after=after, seen=self._clock.monotonic())

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
        until = asyncio.get_running_loop().time() + wait_seconds
        while True:
            news, found = self._news, self._take(topics, group, consumer, limit)
            left = until - asyncio.get_running_loop().time()
            if found or left <= 0:
                return found
            # Now and then without news, too: what others have pending grows old.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(news.wait(), min(left, self._config.idle_seconds / 4))

    def _take(
        self, topics: Sequence[TopicNames], name: str, consumer: str, limit: int
    ) -> list[Delivery]:
        now = self._clock.monotonic()
        groups = [(topic, self._group(topic, name)) for topic in topics]
        for _, group in groups:
            group.seen = now
            group.consumers.add(consumer)
        for topic, group in groups:
            again = self._again(group, consumer, limit)
            if again:
                return [self._deliver(topic, name, number, consumer) for number in again]
        found: list[Delivery] = []
        for topic, _ in groups:
            if len(found) < limit:
                found += self._new(topic, name, consumer, limit - len(found))
        return found

    def _again(self, group: _Group, consumer: str, limit: int) -> Sequence[int]:
        """Numbers of what the consumer left pending before it joined, or anybody for too long."""
        before = self._clock.monotonic() - self._config.idle_seconds
        due = (
            number
            for number, entry in group.pending.items()
            if entry.since <= before or (entry.again and entry.consumer == consumer)
        )
        numbers = sorted(due)[:limit]
        return numbers[: self._config.together(group.pending[n].tries for n in numbers)]

    def _deliver(self, topic: TopicNames, name: str, number: int, consumer: str) -> Delivery:
        group = self._topics[topic].groups[name]
        # Taken out and put back: the longest pending stand first.
        tries = group.pending.pop(number).tries + 1
        group.pending[number] = _Pending(consumer, self._clock.monotonic(), tries)
        message = self._topics[topic].entries[number][0]
        return Delivery(message=message, position=str(number), group=name, tries=tries)

    def _new(self, name: TopicNames, group_name: str, consumer: str, limit: int) -> list[Delivery]:
        topic, group = self._topics[name], self._topics[name].groups[group_name]
        numbers = range(group.after + 1, min(group.after + limit, topic.last) + 1)
        group.after += len(numbers)
        group.pending.update((number, _Pending(consumer, 0.0, 0)) for number in numbers)
        return [self._deliver(name, group_name, number, consumer) for number in numbers]

    def _group(self, topic: TopicNames, group: str) -> _Group:
        try:
            return self._topics[topic].groups[group]
        except KeyError:
            raise BusError(
                f"the group {group!r} has not joined the topic {topic.value!r}; call join first"
            ) from None

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Say that the group is done with these messages."""
        for delivery in deliveries:
            group = self._topics[delivery.message.topic].groups.get(delivery.group)
            if group is not None:
                group.pending.pop(int(delivery.position), None)

    async def bury(self, delivery: Delivery, error: str) -> None:
        """Give a message up; see the port."""
        topic = self._topics[delivery.message.topic]
        group = topic.groups.get(delivery.group)
        if group is None or group.pending.pop(int(delivery.position), None) is None:
            return
        dead_id = str(next(self._dead_ids))
        topic.dead[dead_id] = DeadLetter(
            dead_id=dead_id,
            message=delivery.message,
            group=delivery.group,
            error=error,
            tries=delivery.tries,
        )
        while len(topic.dead) > self._config.keep_dead:
            del topic.dead[next(iter(topic.dead))]

    async def replay(
        self, topic: TopicNames, *, since: str = "0", until: str | None = None
    ) -> AsyncIterator[tuple[str, OonaMessage]]:
        """Yield what a topic still holds; see the port."""
        held = self._topics[topic]
        last = held.last if until is None else min(held.last, _number(until))
        for number in range(max(held.first, _number(since)), last + 1):
            # While the reader was elsewhere, it may have been trimmed.
            if number in held.entries:
                yield str(number), held.entries[number][0]

    async def dead(self, topic: TopicNames, *, limit: int = 100) -> Sequence[DeadLetter]:
        """Return the dead letters of a topic, the oldest first."""
        return list(itertools.islice(self._topics[topic].dead.values(), limit))

    async def retry(self, topic: TopicNames, dead_id: str) -> None:
        """Publish a dead letter again; see the port."""
        letter = self._topics[topic].dead.get(dead_id)
        if letter is None:
            raise BusError(
                f"the topic {topic.value!r} has no dead letter {dead_id!r}; list those that it has"
            )
        await self.publish([letter.message])
        del self._topics[topic].dead[dead_id]

    async def lag(self) -> Sequence[GroupLag]:
        """Return how far every group is behind each of its topics."""
        return [
            self._lag_of(topic, name) for topic in TopicNames for name in self._topics[topic].groups
        ]

    def _lag_of(self, name: TopicNames, group_name: str) -> GroupLag:
        topic = self._topics[name]
        group = topic.groups[group_name]
        oldest, now = group.low_water(), self._clock.now()
        came = topic.entries[oldest][1] if oldest <= topic.last else now
        return GroupLag(
            topic=name,
            group=group_name,
            waiting=topic.last - group.after,
            pending=len(group.pending),
            oldest_seconds=max(0.0, now - came),
            consumers=len(group.consumers),
            idle_seconds=self._clock.monotonic() - group.seen,
        )

    async def trim(self) -> int:
        """Remove what every group is done with and retention no longer asks for."""
        oldest = self._clock.now() - self._config.keep_seconds
        dropped = 0
        for topic in self._topics.values():
            self._drop_idle_groups(topic)
            kept_from = topic.last + 1 - self._config.keep_messages
            kept_from = max(kept_from, topic.first_since(oldest))
            dropped += topic.drop_before(min(kept_from, topic.low_water()))
        return dropped

    def _drop_idle_groups(self, topic: _Topic) -> None:
        before = self._clock.monotonic() - self._config.group_idle_seconds
        for name in [name for name, group in topic.groups.items() if group.seen < before]:
            del topic.groups[name]

    async def leave(self, topics: Sequence[TopicNames], group: str) -> None:
        """Remove a group, with whatever it had pending."""
        for topic in topics:
            self._topics[topic].groups.pop(group, None)

    async def close(self) -> None:
        """Wake whoever waits; nothing else is to be released."""
        await self.publish([])


def _number(position: str) -> int:
    try:
        return int(position)
    except ValueError:
        raise BusError(f"{position!r} is no position of this bus; give a whole number") from None
