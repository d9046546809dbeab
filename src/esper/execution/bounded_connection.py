"""A connection to Redis on which a whole answer takes a bounded time.

redis-py's timeout is for silence: a server that sends a byte now and then would be listened to for
days.
"""

from __future__ import annotations

import socket
import time
from typing import Any

from redis.connection import Connection


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
