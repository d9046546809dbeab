"""Connections: how long a caller may take, how many there may be, and what happens to the others.

uvicorn bounds nothing before a request's head is complete, nor a body that never ends, nor an
answer that nobody reads. A connection is in one of these states, and each has an end:

    state        what is waited for          closed after
    head         a request's head            `head_seconds`, or more than `head_bytes`
    body         the rest of a body          `silent_seconds` without a byte, or slower than `body_rate`
    answer       the application             never: it may stream as long as it likes
    unread       the caller to read          `silent_seconds` without progress
    idle         the next request            uvicorn's `timeout_keep_alive`

At `most` connections a new one takes the place of the one that has waited longest for a head; where
all are at work it is answered 503.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from uvicorn.protocols.http.auto import AutoHTTPProtocol
from uvicorn.server import ServerState

from esper.utils.logging import get_logger

if sys.platform != "win32":
    import resource

if TYPE_CHECKING:
    from uvicorn.protocols.http.h11_impl import H11Protocol as _Protocol
else:
    _Protocol = object

_SAID_EVERY: Final = 60.0
_KEPT_FILES: Final = 64
"""Open files that are kept for everything else: databases, logs, files that are served."""

_TIMED_OUT: Final = (
    b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
)
_TOO_LARGE: Final = b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
_BUSY: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 1\r\n"
    b"Content-Length: 0\r\n\r\n"
)

_log = get_logger("web")

# uvicorn writes a line for each malformed request, and strangers decide how many there are: they
# are counted instead. What an application did wrong is an error, and is still written.
_uvicorn = logging.getLogger("uvicorn.protocol")
_uvicorn.setLevel(logging.ERROR)


@dataclass(frozen=True, kw_only=True)
class ConnectionLimits:
    """What callers may take of a server."""

    head_seconds: float = 10.0
    """How long a request's head may take, from the first byte on; and a new connection until it."""
    head_bytes: int = 2**15
    """Size of a request's head."""
    silent_seconds: float = 30.0
    """How long a body may pause, and an answer wait to be read."""
    body_seconds: float = 20.0
    """How long a body may take before its rate counts."""
    body_rate: float = 1024.0
    """Bytes in a second, on average, that a body must come with."""
    most: int = 2000
    """Connections at a time; never so many that files run out."""

    @property
    def most_now(self) -> int:
        """Connections that this process can have: a quarter of its files are kept for others."""
        if sys.platform == "win32":
            return self.most
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        if files == resource.RLIM_INFINITY:
            return self.most
        return max(1, min(self.most, files - max(_KEPT_FILES, files // 4)))


@dataclass
class GuardedState(ServerState):
    """What uvicorn's connections share, and the guard over them."""

    limits: ConnectionLimits = field(default_factory=ConnectionLimits)
    """What callers may take."""
    closed: Counter[str] = field(default_factory=Counter)
    """Connections that were closed since the log last said so, by reason."""

    def __post_init__(self) -> None:
        super().__init__()
        self.most = self.limits.most_now
        self._said = -_SAID_EVERY

    def sweep(self, now: float, elapsed: float) -> None:
        """Close what has taken too long; said in one line a minute at most.

        Args:
            now: The loop's time, in seconds.
            elapsed: Seconds since the last sweep.
        """
        everyone: list[Any] = [*self.connections]  # all of them ours
        for connection in everyone:
            if reason := connection.overstayed(now, elapsed):
                self.closed[reason] += 1
        if self.closed and now - self._said >= _SAID_EVERY:
            _log.warning("connections closed", **self.closed, open=len(self.connections))
            self.closed.clear()
            self._said = now

    def make_room(self, reason: str, *, count: int = 1, new: Guarded | None = None) -> bool:
        """Close those that have waited longest for a head; False if none waits.

        Args:
            reason: Why, for the log.
            count: How many.
            new: Who is to have the place, and so keeps it.
        """
        self.closed[reason] += 1
        everyone: list[Any] = [*self.connections]
        waiting = sorted((c for c in everyone if c.awaits_head), key=lambda c: c.heard)
        leaving = [c for c in waiting if c is not new][:count]
        for connection in leaving:
            connection.leave()
        return bool(leaving)


class Guarded(_Protocol):
    """Stands before one of uvicorn's connections, with h11 or httptools, and ends every state."""

    server_state: GuardedState
    transport: asyncio.Transport

    def __init__(self, *args: Any, **words: Any) -> None:
        super().__init__(*args, **words)
        self.logger = _uvicorn
        self.heard = self._began = self.loop.time()
        self._head_since: float | None = self.heard
        self._received = self._unsent = 0
        self._unsent_since = 0.0

    @property
    def awaits_head(self) -> bool:
        """Whether no request is being received or answered."""
        cycle: Any = self.cycle
        return cycle is None or (cycle.response_complete and not cycle.more_body)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Take the connection, or answer that there are too many."""
        super().connection_made(transport)
        _notice_dead_peers(transport)
        state = self.server_state
        if len(state.connections) > state.most and not state.make_room("too_many", new=self):
            self.leave(_BUSY)

    def data_received(self, data: bytes) -> None:
        """Take bytes, and note which state they belong to."""
        now = self.loop.time()
        self.heard = now
        in_head = self.awaits_head
        if in_head and self._head_since is None:
            self._head_since, self._received = now, 0
        self._received += len(data)
        super().data_received(data)
        if not in_head:
            return
        if not self.awaits_head:
            self._head_since, self._began, self._received = None, now, 0
        elif self._received > self.server_state.limits.head_bytes:
            self.server_state.closed["large_head"] += 1
            self.leave(_TOO_LARGE)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, and count it."""
        self.server_state.closed["malformed"] += 1
        super().send_400_response(msg)

    def overstayed(self, now: float, elapsed: float) -> str | None:
        """Close this connection if its state has lasted too long; return the reason then."""
        limits = self.server_state.limits
        unsent = self.transport.get_write_buffer_size()
        if unsent != self._unsent:
            self._unsent, self._unsent_since = unsent, now
        elif unsent and now - self._unsent_since > limits.silent_seconds:
            return self.leave(reason="unread")
        if self.awaits_head:
            since = self._head_since
            if since is not None and now - since > limits.head_seconds:
                return self.leave(_TIMED_OUT if self._received else b"", reason="no_head")
        elif self.cycle.more_body:
            if self.flow.read_paused or self.cycle.waiting_for_100_continue:
                # It is the application that takes its time.
                self.heard, self._began = now, self._began + elapsed
            due = limits.body_seconds + self._received / limits.body_rate
            if now - self.heard > limits.silent_seconds or now - self._began > due:
                return self.leave(reason="slow_body")
        return None

    def leave(self, words: bytes = b"", *, reason: str = "") -> str:
        """Hang up, after a last answer if there is one."""
        if words and not self.transport.is_closing():
            self.transport.write(words)
            self.transport.close()
        else:
            self.transport.abort()
        return reason


class GuardedProtocol(Guarded, AutoHTTPProtocol):  # type: ignore[misc, valid-type]  # uvicorn chooses it
    """The connection of the parser that is installed."""


def _notice_dead_peers(transport: asyncio.Transport) -> None:
    """A caller whose machine is gone says nothing: the system asks after half a minute."""
    wire = transport.get_extra_info("socket")
    if wire is None or wire.family not in (socket.AF_INET, socket.AF_INET6):
        return
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, name):
            wire.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
