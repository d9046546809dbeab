"""Asking a service how it is: over HTTP, or in Redis's protocol."""

from __future__ import annotations

import http.client
import socket
import urllib.error
import urllib.request
from functools import partial
from typing import Final
from urllib.parse import unquote, urlsplit

from esper.hosting.service import Question

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
