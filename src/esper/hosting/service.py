"""Service: what `esper up` has to know of each process that it runs, how to ask it, and its life.

A service is asked over HTTP, or in Redis's protocol.
"""

from __future__ import annotations

import http.client
import socket
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from esper.contracts.lifecycle import Lifecycle

Question = Callable[[], bool]
"""Asks a service something, for a second or two at most; whatever is no answer is False."""

Mend = Callable[[str], str | None]
"""Is shown what a service wrote before it ended; removes what keeps it from coming up, if that is it,
and says what it did."""

Environment = Mapping[str, str | None]
"""Variables of a process; None takes one away."""


@dataclass(frozen=True, kw_only=True)
class Service:
    """How to start one service, and how to ask it how it is."""

    name: str
    """What people call it."""
    command: tuple[str, ...]
    """What is run. Other users of the machine can see it: no secrets."""
    address: str
    """Where it answers; without secrets."""
    port: int
    """The TCP port of it."""
    log: Path
    """File that its output is added to."""
    lives: Question
    """Whether it answers at all."""
    is_ready: Question
    """Whether it takes work."""
    environment: Environment = field(default_factory=dict)
    """Variables that it gets besides those of `esper up`."""
    mend: Mend = lambda _: None
    """Mends what the service cannot mend itself; by default nothing."""
    stop_seconds: float = 30.0
    """How long it may take to end after SIGTERM before it is killed."""


class ServiceState(StrEnum):
    """Where a service of a running platform is."""

    WAITING = "waiting"
    """It has no process: not started yet, or it ended and its pause is not over."""
    STARTING = "starting"
    """Its process is there and does not take work yet."""
    READY = "ready"
    """It takes work."""
    UNREADY = "unready"
    """It was ready and says no longer that it is, or says nothing."""
    STOPPING = "stopping"
    """It was told to stop and finishes what it has."""
    STOPPED = "stopped"
    """It ended because it was told to."""


class ServiceEvent(StrEnum):
    """What happens to a service."""

    STARTED = "started"
    """Its process was started."""
    ANSWERED = "answered"
    """It said that it is ready."""
    MISSED = "missed"
    """Asked whether it is ready, it said no, or nothing."""
    TOLD = "told"
    """It was told to stop."""
    ENDED = "ended"
    """Its process ended."""


_S, _E = ServiceState, ServiceEvent

LIFE: Final = Lifecycle(
    "service",
    {
        (_S.WAITING, _E.STARTED): _S.STARTING,
        (_S.WAITING, _E.TOLD): _S.STOPPED,
        (_S.STARTING, _E.ANSWERED): _S.READY,
        (_S.STARTING, _E.MISSED): _S.STARTING,
        (_S.STARTING, _E.TOLD): _S.STOPPING,
        (_S.STARTING, _E.ENDED): _S.WAITING,
        (_S.READY, _E.ANSWERED): _S.READY,
        (_S.READY, _E.MISSED): _S.UNREADY,
        (_S.READY, _E.TOLD): _S.STOPPING,
        (_S.READY, _E.ENDED): _S.WAITING,
        (_S.UNREADY, _E.ANSWERED): _S.READY,
        (_S.UNREADY, _E.MISSED): _S.UNREADY,
        (_S.UNREADY, _E.TOLD): _S.STOPPING,
        (_S.UNREADY, _E.ENDED): _S.WAITING,
        (_S.STOPPING, _E.TOLD): _S.STOPPING,
        (_S.STOPPING, _E.ENDED): _S.STOPPED,
    },
)

SECONDS: Final = 2.0
"""Longest wait for an answer."""

# Not through a proxy that the environment may name: services are asked where they are.
_DIRECT: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def http_question(url: str, path: str) -> Question:
    """Ask a server for `path`; the answer is yes if its status is 200."""
    return partial(_get, f"{url}{path}")


def redis_question(url: str) -> Question:
    """Ask a Redis or Valkey server for a PING, with the password in its URL."""
    return partial(_ping, url)


def _get(url: str) -> bool:
    try:
        with _DIRECT.open(url, timeout=SECONDS) as answer:
            return bool(answer.status == http.client.OK)
    except (OSError, http.client.HTTPException):
        return False


def _ping(url: str) -> bool:
    parts = urlsplit(url)
    words = [["PING"]]
    if parts.password is not None:
        user = [unquote(parts.username)] if parts.username else []
        words.insert(0, ["AUTH", *user, unquote(parts.password)])
    try:
        address = (parts.hostname or "localhost", parts.port or 6379)
        with socket.create_connection(address, timeout=SECONDS) as connection:
            connection.sendall(b"".join(_request(command) for command in words))
            with connection.makefile("rb") as answers:
                return all(answers.readline(1024).startswith(b"+") for _ in words)
    except OSError:
        return False


def _request(words: list[str]) -> bytes:
    """One command as the protocol (RESP) has it: an array of strings with their lengths."""
    parts = [word.encode() for word in words]
    lines = [b"*%d" % len(parts)]
    for part in parts:
        lines += [b"$%d" % len(part), part]
    return b"\r\n".join(lines) + b"\r\n"
