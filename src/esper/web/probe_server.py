"""ProbeServer: `/livez`, `/readyz` and `/metrics` for a process that serves nothing else."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from http import HTTPStatus
from threading import Thread
from types import TracebackType
from typing import Final, Self

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from esper.contracts.errors import PlatformError
from esper.web.connections import ConnectionLimits
from esper.web.draining import Draining, DrainingServer
from esper.web.host_names import is_host
from esper.web.http_metrics import MEDIA_TYPE

_LIMITS: Final = ConnectionLimits(
    head_seconds=5.0, head_bytes=2**13, silent_seconds=5.0, body_seconds=5.0, most=16
)


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
        try:
            self._socket = socket.create_server(("127.0.0.1", port))
        except OSError as error:
            raise PlatformError(
                f"cannot listen on 127.0.0.1:{port}: {error.strerror}; choose another --probe-port"
            ) from error
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        """Where it answers."""
        self._server = DrainingServer(
            _probes(is_ready, metrics),
            Draining(),
            name="probes",
            host="127.0.0.1",
            port=port,
            drain_seconds=1.0,
            limits=_LIMITS,
        )
        self._thread = Thread(target=self._serve, name="probes", daemon=True)

    def _serve(self) -> None:
        asyncio.run(self._server.serve([self._socket]))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.stop()
        self._thread.join()


def _probes(is_ready: Callable[[], bool], metrics: Callable[[], str]) -> ASGIApp:
    """An ASGI application that answers the probes, and nothing else."""

    def answer(path: str) -> tuple[HTTPStatus, str]:
        match path:
            case "/livez":
                return HTTPStatus.OK, "live\n"
            case "/readyz" if is_ready():
                return HTTPStatus.OK, "ready\n"
            case "/readyz":
                return HTTPStatus.SERVICE_UNAVAILABLE, "not ready\n"
            case "/metrics":
                return HTTPStatus.OK, metrics()
            case _:
                return HTTPStatus.NOT_FOUND, "no such probe\n"

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if is_host(Headers(scope=scope).get("host", "localhost")):
            status, text = answer(scope["path"])
        else:
            status, text = HTTPStatus.BAD_REQUEST, "the Host header is no host\n"
        await PlainTextResponse(text, status, {"Content-Type": MEDIA_TYPE})(scope, receive, send)

    return app
