"""Upkeep of the streams on a Redis or Valkey server: how far groups are behind, and what may go."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, Final

from esper.contracts.enums import TopicNames
from esper.contracts.errors import BusError
from esper.contracts.ports import GroupLag
from esper.services.oona import redis_scripts
from esper.services.oona.bus_config import OonaConfig
from esper.services.oona.claims import Claims
from esper.services.oona.redis_client import Command, RedisClient, fields_of

logger = logging.getLogger(__name__)

_COUNTED: Final = 1000
"""How far messages are counted where the server cannot tell their number."""

_LARGEST_ID: Final = "18446744073709551615-0"


class RedisUpkeep:
    """Looks after the streams.

    Args:
        client: The server.
        claims: The payloads that were laid down.
        config: Keys and retention.
    """

    def __init__(self, client: RedisClient, claims: Claims, config: OonaConfig) -> None:
        self._client = client
        self._claims = claims
        self._config = config

    async def lag(self) -> Sequence[GroupLag]:
        """Return how far every group is behind each of its topics."""
        topics = list(TopicNames)
        streams = [self._config.stream(topic) for topic in topics]
        answers = await self._client.try_all([("XINFO", "GROUPS", stream) for stream in streams])
        groups: list[tuple[TopicNames, dict[bytes, Any]]] = [
            (topic, fields_of(flat))
            for topic, answer in zip(topics, answers, strict=True)
            # A topic that nobody has used yet is no stream.
            if not isinstance(answer, BusError)
            for flat in answer
        ]
        commands: list[Command] = [("TIME",)]
        for topic, group in groups:
            stream, after = self._config.stream(topic), b"(" + group[b"last-delivered-id"]
            count = 1 if group.get(b"lag") is not None else _COUNTED
            commands.append(("XPENDING", stream, group[b"name"]))
            commands.append(("XRANGE", stream, after, "+", "COUNT", count))
            commands.append(("XINFO", "CONSUMERS", stream, group[b"name"]))
        (seconds, _), *answers = await self._client.try_all(commands)
        return [
            _lag_of(topic, group, (pending, waiting, consumers), float(seconds))
            for (topic, group), pending, waiting, consumers in zip(
                groups, answers[::3], answers[1::3], answers[2::3], strict=True
            )
            # It may have left in between.
            if not isinstance(pending, BusError) and not isinstance(consumers, BusError)
        ]

    async def trim(self) -> int:
        """Remove groups that nobody reads for, and messages that nobody needs; return how many."""
        config = self._config
        idle = int(config.group_idle_seconds * 1000)
        forgotten = await self._each_topic(
            lambda topic: ("EVAL", redis_scripts.FORGET, 1, config.stream(topic), idle)
        )
        for topic, groups in forgotten.items():
            for group in groups:
                logger.warning(
                    "Nobody has read %s for the group %s in %.0f s: it is removed",
                    topic.value,
                    group.decode(),
                    config.group_idle_seconds,
                )
        now = float((await self._client.ask("TIME"))[0])
        limits = (config.keep_messages, f"{max(0, int((now - config.keep_seconds) * 1000))}-0")
        trimmed = await self._each_topic(
            lambda t: ("EVAL", redis_scripts.TRIM, 1, config.stream(t), *limits, _LARGEST_ID)
        )
        dead = await self._each_topic(
            lambda topic: ("XRANGE", config.dead_stream(topic), "-", "+", "COUNT", 1)
        )
        await self._claims.clear(
            {
                f"live/{topic.value}": now if first is None else _seconds(first)
                for topic, (_, first) in trimmed.items()
            }
            | {
                f"dead/{topic.value}": _seconds(first[0][0]) if first else now
                for topic, first in dead.items()
            }
        )
        return sum(removed for removed, _ in trimmed.values())

    async def _each_topic(self, command: Callable[[TopicNames], Command]) -> dict[TopicNames, Any]:
        answers = await self._client.ask_all([command(topic) for topic in TopicNames])
        return dict(zip(TopicNames, answers, strict=True))


def _lag_of(
    topic: TopicNames, group: dict[bytes, Any], answers: tuple[Any, Any, Any], now: float
) -> GroupLag:
    pending, waiting, consumers = answers
    number = group.get(b"lag")
    oldest = pending[1] if pending[0] else waiting[0][0] if waiting else None
    return GroupLag(
        topic=topic,
        group=group[b"name"].decode(),
        waiting=len(waiting) if number is None else number,
        pending=pending[0],
        oldest_seconds=0.0 if oldest is None else max(0.0, now - _seconds(oldest)),
        consumers=group[b"consumers"],
        idle_seconds=min((fields_of(one)[b"idle"] for one in consumers), default=0) / 1000,
    )


def _seconds(position: bytes) -> float:
    return int(position.partition(b"-")[0]) / 1000
