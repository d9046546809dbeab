"""DrainingServer: runs an ASGI application until it is told to stop, and then stops in order.

At SIGTERM (or Ctrl+C) `/readyz` answers 503 at once, no new connection is taken, and what is being
answered is finished within the time that was given. A second signal ends it now.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, cast

import uvicorn

from esper.utils.logging import get_logger

_HEADERS: Final = [("X-Content-Type-Options", "nosniff")]
_IDLE_SECONDS: Final = 75
_BACKLOG: Final = 1024

_log = get_logger("web")


@dataclass(kw_only=True)
class Draining:
    """Whether a server is about to stop: the base of a server's own state."""

    draining: bool = False
    """It finishes what it has, and is not ready for more."""


def uvicorn_config(app: object, *, host: str, port: int, drain_seconds: float) -> uvicorn.Config:
    """Return how uvicorn is to serve `app`.

    Args:
        app: The ASGI application.
        host: Address to listen on.
        port: Port to listen on; 0 takes a free one.
        drain_seconds: How long what is being answered may take to finish.
    """
    return uvicorn.Config(
        cast("Callable[..., object]", app),
        host=host,
        port=port,
        # Our own counters say more, and a line for each request costs more than the request.
        access_log=False,
        log_config=None,
        server_header=False,
        headers=_HEADERS,
        # Addresses in headers are whatever a caller wrote; limits go by the connection's own.
        proxy_headers=False,
        lifespan="off",
        ws="none",
        timeout_keep_alive=_IDLE_SECONDS,
        timeout_graceful_shutdown=max(round(drain_seconds), 1),
        backlog=_BACKLOG,
    )


class DrainingServer(uvicorn.Server):
    """uvicorn's server, which says that it is stopping before it stops, and returns when it has."""

    def __init__(
        self,
        config: uvicorn.Config,
        state: Draining,
        *,
        name: str,
        started: Callable[[str], None] | None = None,
    ) -> None:
        """Prepare; `serve` starts it.

        Args:
            config: Of `uvicorn_config`.
            state: Is told when the server begins to stop.
            name: What the log calls the server.
            started: Is told the server's URL once it takes requests.
        """
        super().__init__(config)
        self._state = state
        self._name = name
        self._tell = started

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take SIGTERM and SIGINT while serving; being asked to stop is no failure."""
        loop = asyncio.get_running_loop()
        signals = (signal.SIGTERM, signal.SIGINT)
        for number in signals:
            loop.add_signal_handler(number, self.stop)
        try:
            yield
        finally:
            for number in signals:
                loop.remove_signal_handler(number)

    def stop(self) -> None:
        """Begin to stop; at the second call at once."""
        self.force_exit = self._state.draining
        self._state.draining = True
        self.should_exit = True
        _log.info(f"{self._name} stops", at_once=self.force_exit)

    async def main_loop(self) -> None:
        """Say where the server is, then run."""
        bound = self.servers[0].sockets[0].getsockname()
        host = f"[{bound[0]}]" if ":" in bound[0] else bound[0]
        url = f"http://{host}:{bound[1]}"
        _log.info(f"{self._name} serves", url=url)
        if self._tell is not None:
            self._tell(url)
        await super().main_loop()
