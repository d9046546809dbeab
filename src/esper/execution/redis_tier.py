"""RedisTier: kernel files in Redis or Valkey, between a process's memory and the library.

A cache, not a store: the server may lose what it likes, and may be gone. Whatever goes wrong is
logged, counted and answered as if there were nothing, within a bounded time; a server that keeps
failing is left alone for a while (`error_recovery.py`). What comes back is not believed here: the
caller checks it.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Any, Final, Self, TypeVar
from urllib.parse import urlsplit

from redis import Redis
from redis.backoff import NoBackoff
from redis.connection import Connection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from esper.contracts.errors import ConfigError
from esper.contracts.ports import Clock
from esper.execution.cache_config import RedisTierConfig
from esper.execution.error_recovery import KINDS, ErrorRecoveryManager
from esper.execution.error_tracker import ErrorKind, ErrorTracker

Answer = TypeVar("Answer")

_READ_BYTES: Final = 2**23
"""How much is taken from the socket at once. redis-py's 32 KiB make a megabyte take twice as long;
and malloc, which goes by the largest block that it saw, keeps the pages from one load to the next."""


class _RefusedError(Exception):
    """The server answers, but not with what was asked for."""


for _type, _kind in (
    (RedisConnectionError, ErrorKind.UNREACHABLE),
    (RedisTimeoutError, ErrorKind.UNREACHABLE),
    # It answers, but refuses: full, read-only, or the key is something else's.
    (RedisError, ErrorKind.REFUSED),
    (_RefusedError, ErrorKind.REFUSED),
):
    KINDS.add(_type, _kind)


def _bounded(scheme: str, seconds: float) -> dict[str, Any]:
    # Other schemes bring a class of their own, TLS for one, which must not be lost.
    return {"connection_class": bounded_connection(seconds)} if scheme == "redis" else {}


class RedisTier:
    """Keeps kernel files in Redis or Valkey. Implements the port `KernelTier`; never raises.

    Args:
        url: Of the server, as `RedisConfig.url` gives it.
        config: Timeouts, sizes, lifetimes.
        clock: Tells the breaker the time; default: the machine's.
        tracker: Window of recent errors; default one of its own.

    Raises:
        ConfigError: The URL is none (only from the constructor; the server is not contacted).
    """

    name = "redis"

    def __init__(
        self,
        url: str,
        config: RedisTierConfig | None = None,
        *,
        clock: Clock | None = None,
        tracker: ErrorTracker | None = None,
    ) -> None:
        self._config = config or RedisTierConfig()
        self._recovery = ErrorRecoveryManager(
            clock=clock, breaker=self._config.breaker, tracker=tracker
        )
        try:
            place = urlsplit(url)
            self._place = f"Redis at {place.hostname}:{place.port}"
            self._redis = Redis.from_url(
                url,
                socket_timeout=self._config.timeout_seconds,
                socket_connect_timeout=self._config.timeout_seconds,
                # Without these redis-py tries ten times, with pauses, on every lost connection.
                retry=Retry(NoBackoff(), 0),
                retry_on_timeout=False,
                **_bounded(place.scheme, self._config.answer_seconds),
                # Nothing is asked of the server when a connection opens: a silent one would be
                # waited for once more with each question.
                driver_info=None,
                protocol=2,
                socket_read_size=_READ_BYTES,
            )
        except ValueError as error:
            # Without the URL itself: it may hold a password.
            raise ConfigError(
                "the Redis server's URL is not valid; give redis://[:password@]host:port/number"
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def errors(self) -> int:
        """How often the server could not be reached, did not answer in time, or refused."""
        return self._recovery.tracker.total(self._place)

    def get(self, kernel_id: str) -> bytes | None:
        """Return the bytes, unchecked; None if there are none or the server has troubles."""
        return self._ask(lambda: self._read(kernel_id)) or None

    def put(self, kernel_id: str, data: bytes) -> None:
        """Keep the bytes for the configured time, unless they are too many."""
        if len(data) <= self._config.max_bytes:
            lifetime = self._config.lifetime_seconds
            self._ask(lambda: self._redis.set(self._key(kernel_id), data, ex=lifetime))

    def discard(self, kernel_id: str) -> None:
        """Forget the bytes."""
        self._ask(lambda: self._redis.delete(self._key(kernel_id)))

    def close(self) -> None:
        """Close the connections; the next request opens a new one."""
        self._redis.close()

    def _key(self, kernel_id: str) -> str:
        return f"{self._config.prefix}{kernel_id}"

    def _read(self, kernel_id: str) -> bytes:
        most = self._config.max_bytes
        # A range rather than all: whoever can write there must not fill our memory.
        data = self._redis.getrange(self._key(kernel_id), 0, most)
        if len(data) > most:
            raise _RefusedError(f"kernel {kernel_id} is larger there than {most} bytes")
        return data if isinstance(data, bytes) else data.encode()

    def _ask(self, question: Callable[[], Answer]) -> Answer | None:
        return self._recovery.run(self._place, question, fallback=lambda: None)


# Connections on which a whole answer takes a bounded time -----------------------------------------
# redis-py's timeout is for silence: a server that sends a byte now and then would be listened to for
# days.


def bounded_connection(seconds: float) -> type[Connection]:
    """Return the class of connections whose answers take at most `seconds`, each on its own.

    The time counts from when the last question was sent. What comes too late is the TimeoutError
    that silence is.
    """

    class BoundedConnection(Connection):
        def _connect(self) -> Any:
            plain = super()._connect()  # type: ignore[no-untyped-call]  # redis leaves it untyped
            silence = plain.gettimeout()
            bounded = _BoundedSocket(seconds, plain.detach())
            bounded.settimeout(silence)
            return bounded

    return BoundedConnection


class _BoundedSocket(socket.socket):
    def __init__(self, seconds: float, descriptor: int) -> None:
        super().__init__(fileno=descriptor)
        self._seconds = seconds
        self._until = time.monotonic() + seconds

    def sendall(self, *args: Any) -> None:
        self._until = time.monotonic() + self._seconds
        super().sendall(*args)

    # redis-py reads by the one, and by the other where its fast parser is installed.

    def recv(self, *args: Any) -> bytes:
        self._check()
        return super().recv(*args)

    def recv_into(self, *args: Any) -> int:
        self._check()
        return super().recv_into(*args)

    def _check(self) -> None:
        # Looked at between the pieces; the last of them may be late by the timeout for silence.
        if time.monotonic() > self._until and self.gettimeout():
            raise TimeoutError("the answer takes too long")
