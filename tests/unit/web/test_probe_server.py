from __future__ import annotations

import socket
import urllib.error
import urllib.request

import pytest

from esper.contracts.errors import PlatformError
from esper.web.probe_server import ProbeServer


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_it_tells_whether_the_process_lives_and_is_ready_and_what_it_counts() -> None:
    ready = [False]
    with ProbeServer(0, is_ready=lambda: ready[0], metrics=lambda: "answer 42\n") as server:
        assert get(f"{server.url}/livez") == (200, "live\n")
        assert get(f"{server.url}/readyz") == (503, "not ready\n")
        ready[0] = True
        assert get(f"{server.url}/readyz") == (200, "ready\n")
        assert get(f"{server.url}/metrics") == (200, "answer 42\n")
        assert get(f"{server.url}/other")[0] == 404


def test_after_the_block_nobody_answers_and_the_port_is_free() -> None:
    with ProbeServer(0, is_ready=lambda: True, metrics=str) as server:
        port = int(server.url.rpartition(":")[2])
    with socket.create_server(("127.0.0.1", port)):
        pass


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(PlatformError, match=str(port)):
            ProbeServer(port, is_ready=lambda: True, metrics=str)
