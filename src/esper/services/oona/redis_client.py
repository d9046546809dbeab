"""RedisClient: questions to a Redis or Valkey server, each answered in a bounded time or refused."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import urlsplit

import hiredis
from redis.asyncio import Redis
from redis.asyncio.connection import Connection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import (
    MasterDownError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.typing import EncodableT

from esper.contracts.errors import BusError, BusUnavailableError
from esper.services.oona.bus_config import OonaConfig

_PASSING: Final = (OutOfMemoryError, ReadOnlyError, MasterDownError, TryAgainError)
"""A server's refusals that pass by themselves, or by its operator's doing."""

_PASSING_TEXTS: Final = ("MISCONF", "BUSY ")
"""How it begins those that redis-py has no class for."""

_NO_GROUP_TEXTS: Final = ("NOGROUP", "The XGROUP subcommand requires the key to exist")
"""How it begins to say that a group is missing, or the stream that has the groups. redis-py takes
the word `ERR` off."""

_READ_BYTES: Final = 2**18
"""How much is taken from the socket at once: a batch of messages in a few pieces."""

Command = tuple[str | bytes | int | float, ...]
"""A command and its arguments."""


class _PackingConnection(Connection):
    """Packs commands in C, which redis-py's asynchronous connections do in Python."""

    def pack_command(self, *args: EncodableT) -> list[bytes]:
        # hiredis says that it takes one argument, and takes any number.
        return [hiredis.pack_command(args)]  # type: ignore[arg-type]


class NoGroupError(BusError):
    """The server does not know the group, or the stream that it reads."""


class RedisClient:
    """Asks one server, and turns its troubles into `BusError`. Answers come as the server has them.

    Args:
        url: `redis://` or `valkey://`, an `s` before the colon for TLS.
        config: How long a connection and an answer may take.
    """

    def __init__(self, url: str, config: OonaConfig) -> None:
        self._answer_seconds = config.answer_seconds
        place = urlsplit(url)
        self.place = f"{place.hostname}:{place.port or 6379}"
        """Where the server is, without the password."""
        self.connections = 0
        """How many were opened so far."""
        self._redis = Redis.from_url(
            url.replace("valkey", "redis", 1) if place.scheme.startswith("valkey") else url,
            # A URL that asks for TLS overrules it.
            connection_class=_PackingConnection,
            # Without these redis-py tries ten times on every lost connection, and each try may
            # publish once more.
            retry=Retry(NoBackoff(), 0),
            retry_on_timeout=False,
            socket_connect_timeout=config.connect_seconds,
            redis_connect_func=self._connected,
            # Every question has its own time limit, for the whole answer.
            socket_timeout=None,
            socket_read_size=_READ_BYTES,
            driver_info=None,
            protocol=2,
        )
        # Answers stay as they come: what redis-py makes of them costs more than asking.
        self._redis.response_callbacks.clear()

    async def _connected(self, connection: Connection) -> None:
        self.connections += 1
        await connection.on_connect()

    async def ask(self, *command: str | bytes | float, wait_seconds: float = 0.0) -> Any:
        """Send a command and return its answer.

        Args:
            command: The command and its arguments.
            wait_seconds: How long the command itself may wait for something to happen.

        Raises:
            BusUnavailableError: The server cannot be reached, or does not answer in time.
            NoGroupError: The group that it names does not exist.
            BusError: The server refuses.
        """
        with self._troubles():
            async with asyncio.timeout(self._answer_seconds + wait_seconds):
                # redis leaves it untyped.
                return await self._redis.execute_command(*command)  # type: ignore[no-untyped-call]

    async def ask_all(self, commands: Sequence[Command]) -> list[Any]:
        """Send commands in one go and return their answers.

        Raises:
            BusUnavailableError: The server cannot be reached, or does not answer in time.
            BusError: It refuses one of them; the others were carried out.
        """
        answers = await self.try_all(commands)
        for answer in answers:
            if isinstance(answer, BusError):
                raise answer
        return answers

    async def try_all(self, commands: Sequence[Command]) -> list[Any]:
        """Do the same, with refusals among the answers, as errors.

        Raises:
            BusUnavailableError: The server cannot be reached, or does not answer in time.
        """
        if len(commands) == 1:
            # A pipeline of one takes half as long again.
            try:
                return [await self.ask(*commands[0])]
            except BusUnavailableError:
                raise
            except BusError as error:
                return [error]
        with self._troubles():
            async with asyncio.timeout(self._answer_seconds):
                pipeline = self._redis.pipeline(transaction=False)
                for command in commands:
                    pipeline.execute_command(*command)
                answers: list[Any] = await pipeline.execute(raise_on_error=False)
        return [
            self._translated(answer) if isinstance(answer, ResponseError) else answer
            for answer in answers
        ]

    async def close(self) -> None:
        """Close the connections; the next question opens a new one."""
        with self._troubles():
            async with asyncio.timeout(self._answer_seconds):
                await self._redis.aclose()

    @contextmanager
    def _troubles(self) -> Iterator[None]:
        try:
            yield
        except (RedisConnectionError, RedisTimeoutError, OSError) as error:
            why = str(error) or "no answer in time"
            raise BusUnavailableError(
                f"the bus at {self.place} cannot be reached ({why}); is a Redis or Valkey server "
                "running there?"
            ) from error
        except RedisError as error:
            raise self._translated(error) from error

    def _translated(self, error: RedisError) -> BusError:
        text = str(error)
        if text.startswith(_NO_GROUP_TEXTS):
            return NoGroupError(f"the bus at {self.place} has no such group: {text}; join it first")
        if isinstance(error, _PASSING) or text.startswith(_PASSING_TEXTS):
            return BusUnavailableError(f"the bus at {self.place} cannot serve now: {text}")
        return BusError(f"the bus at {self.place} refused: {text}")


def entries_of(answer: Any) -> Iterator[tuple[str, bytes]]:
    """Yield id and message of each entry in the answer to a command that reads a stream.

    An entry that has no message, because a stranger wrote it, yields empty bytes.
    """
    for entry in answer or ():
        # None stands for what is pending and no longer in the stream.
        if entry is not None and entry[1] is not None:
            name, data, *rest = entry[1]
            yield entry[0].decode(), data if name == b"m" and not rest else b""


def fields_of(flat: Sequence[Any]) -> dict[bytes, Any]:
    """Return as a mapping what the server answers as names and values in turn."""
    return dict(zip(flat[::2], flat[1::2], strict=True))
