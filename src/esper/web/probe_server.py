"""ProbeServer: `/livez`, `/readyz` and `/metrics` for a process that serves nothing else."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import TracebackType
from typing import Any, Final, Self, cast

from esper.contracts.errors import PlatformError

MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
"""Prometheus' text format, which is plain text."""

_SILENT_SECONDS: Final = 5.0
"""A caller that says nothing for so long is hung up on."""


class ProbeServer:
    """Answers probes from a thread of its own, from `with` until the block ends.

    It listens on loopback only: what it tells is for whoever runs the process.

    Args:
        port: Where; 0 takes a free one.
        is_ready: Whether the process takes work; called from another thread.
        metrics: Its figures in Prometheus' text format; likewise.

    Raises:
        PlatformError: The port is taken.
    """

    def __init__(
        self, port: int, *, is_ready: Callable[[], bool], metrics: Callable[[], str]
    ) -> None:
        answers = {
            "/livez": lambda: (HTTPStatus.OK, "live\n"),
            "/readyz": lambda: (
                (HTTPStatus.OK, "ready\n")
                if is_ready()
                else (HTTPStatus.SERVICE_UNAVAILABLE, "not ready\n")
            ),
            "/metrics": lambda: (HTTPStatus.OK, metrics()),
        }
        try:
            self._server = _Server(("127.0.0.1", port), _Handler)
        except OSError as error:
            raise PlatformError(
                f"cannot listen on 127.0.0.1:{port}: {error.strerror}; choose another --probe-port"
            ) from error
        self._server.answers = answers
        self._thread = Thread(target=self._server.serve_forever, name="probes", daemon=True)

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    answers: dict[str, Callable[[], tuple[HTTPStatus, str]]]


class _Handler(BaseHTTPRequestHandler):
    timeout = _SILENT_SECONDS

    def do_GET(self) -> None:
        """Answer one probe."""
        answer = cast("_Server", self.server).answers.get(self.path)
        status, text = (HTTPStatus.NOT_FOUND, "no such probe\n") if answer is None else answer()
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", MEDIA_TYPE)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 its base's signature
        """Say nothing: a line for each probe is noise."""
