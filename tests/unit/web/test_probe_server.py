from __future__ import annotations

import contextlib
import dataclasses
import socket
import urllib.error
import urllib.request

import pytest

from esper.contracts.errors import PlatformError
from esper.web import probe_server
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


def test_half_open_callers_keep_nobody_out() -> None:
    with (
        ProbeServer(0, is_ready=lambda: True, metrics=str) as server,
        contextlib.ExitStack() as callers,
    ):
        port = int(server.url.rpartition(":")[2])
        for _ in range(60):
            caller = callers.enter_context(socket.create_connection(("127.0.0.1", port)))
            caller.sendall(b"GET /livez HTTP/1.1\r\nX: ")
        assert get(f"{server.url}/livez") == (200, "live\n")


def test_a_caller_that_drips_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    quick = dataclasses.replace(probe_server._LIMITS, head_seconds=0.2)
    monkeypatch.setattr(probe_server, "_LIMITS", quick)
    with ProbeServer(0, is_ready=lambda: True, metrics=str) as server:
        port = int(server.url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=30) as caller:
            caller.sendall(b"GET /livez HTTP/1.1\r\n")
            with caller.makefile("rb") as answers:
                assert answers.read().startswith(b"HTTP/1.1 408")


def test_a_host_that_is_none_is_refused() -> None:
    with ProbeServer(0, is_ready=lambda: True, metrics=str) as server:
        request = urllib.request.Request(f"{server.url}/livez", headers={"Host": "[::1"})
        with pytest.raises(urllib.error.HTTPError, match="400") as caught:
            urllib.request.urlopen(request, timeout=10)
        caught.value.close()
