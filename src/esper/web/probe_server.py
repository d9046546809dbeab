"""ProbeServer: `/livez`, `/readyz` and `/metrics` for a process that serves nothing else.

The standard library's server rather than `prometheus_client`'s, which answers `/metrics` alone and
bounds nothing: here a caller has a few seconds in all, and there are a few callers at a time.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import time
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from types import TracebackType
from typing import Any, Final, Self, cast

from esper.contracts.errors import PlatformError
from esper.utils.logging import get_logger
from esper.web.host_names import is_host

MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
"""Prometheus' text format, which is plain text."""

_SECONDS: Final = 5.0
"""How long an exchange may take in all."""
_CALLERS: Final = 16
"""Exchanges at a time; one more ends the oldest."""
_PAUSE_SECONDS: Final = 1.0
"""Pause before the next caller where files have run out."""

_log = get_logger("web")


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

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._since: dict[socket.socket, float] = {}
        self._out_of_files, self._closing = False, Event()

    def get_request(self) -> tuple[socket.socket, Any]:
        """Take a caller; where files have run out, wait: the base would try again at once."""
        try:
            request, address = super().get_request()
        except OSError as error:
            if not self._out_of_files:
                _log.warning("no caller can be taken", why=error.strerror)
            self._out_of_files = True
            self._hang_up_on_oldest()
            self._closing.wait(_PAUSE_SECONDS)
            raise
        self._out_of_files = False
        if len(self._since) >= _CALLERS:
            self._hang_up_on_oldest()
        self._since[request] = time.monotonic()
        return request, address

    def service_actions(self) -> None:
        """Hang up on whoever takes too long; called twice a second."""
        now = time.monotonic()
        for request, since in [*self._since.items()]:
            if now - since > _SECONDS:
                _hang_up(request)

    def shutdown_request(self, request: Any) -> None:
        """Forget a caller."""
        self._since.pop(request, None)
        super().shutdown_request(request)

    def shutdown(self) -> None:
        """Stop, without waiting for files."""
        self._closing.set()
        super().shutdown()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing where the caller left, or was hung up on."""
        error = sys.exception()
        if not isinstance(error, OSError):
            _log.error("a probe failed", exc_info=error)

    def _hang_up_on_oldest(self) -> None:
        if oldest := min([*self._since.items()], key=lambda item: item[1], default=None):
            _hang_up(oldest[0])
            self._since.pop(oldest[0], None)


def _hang_up(request: socket.socket) -> None:
    # Its thread sees the end, and closes it.
    with contextlib.suppress(OSError):
        request.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    timeout = _SECONDS

    def do_GET(self) -> None:
        """Answer one probe."""
        answer = cast("_Server", self.server).answers.get(self.path)
        status, text = HTTPStatus.NOT_FOUND, "no such probe\n"
        if not is_host(self.headers.get("Host", "localhost")):
            status, text = HTTPStatus.BAD_REQUEST, "the Host header is no host\n"
        elif answer is not None:
            status, text = answer()
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", MEDIA_TYPE)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 its base's signature
        """Say nothing: a line for each probe is noise."""
