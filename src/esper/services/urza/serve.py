"""serve: runs the library as a server until it is told to stop, and then stops in order.

At SIGTERM (or Ctrl+C) `/readyz` answers 503 at once, no new connection is taken, what is being
answered is finished within `drain_seconds`, and the store is closed. A second signal ends it now.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable
from collections.abc import Iterator
from typing import Final
from typing import cast

import uvicorn

from esper.contracts.errors import LibraryUnavailableError
from esper.contracts.ports import Clock
from esper.services.urza.access import check_exposure
from esper.services.urza.app import create_app
from esper.services.urza.config import UrzaConfig
from esper.services.urza.library import Library
from esper.services.urza.state import ServerState
from esper.utils.clock import SystemClock
from esper.utils.logging import get_logger

_HEADERS: Final = [("X-Content-Type-Options", "nosniff")]
_IDLE_SECONDS: Final = 75
_BACKLOG: Final = 1024

_log = get_logger("urza")


def serve(config: UrzaConfig, *, started: Callable[[str], None] | None = None) -> None:
    """Serve the library until SIGTERM or SIGINT.

    Args:
        config: The settings.
        started: Is told the server's URL once it takes requests.

    Raises:
        ConfigError: The settings would let strangers in.
        LibraryError: The store cannot be opened.
        LibraryUnavailableError: The port is taken.
    """
    check_exposure(config.host, config.auth)
    asyncio.run(_serve(config, SystemClock(), started))


async def _serve(config: UrzaConfig, clock: Clock, started: Callable[[str], None] | None) -> None:
    library = await Library.open(config, clock)
    try:
        app = create_app(library, config, clock=clock)
        server = DrainingServer(_uvicorn_config(app, config), app.state.urza, started)
        try:
            await server.serve()
        except SystemExit as stopped:
            # How uvicorn says that it could not listen; it has logged why.
            raise LibraryUnavailableError(
                f"cannot listen on {config.host}:{config.port}; is another server there already? "
                "Choose another port."
            ) from stopped
    finally:
        await library.close()


def _uvicorn_config(app: object, config: UrzaConfig) -> uvicorn.Config:
    return uvicorn.Config(
        cast("Callable[..., object]", app),
        host=config.host,
        port=config.port,
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
        timeout_graceful_shutdown=max(round(config.drain_seconds), 1),
        backlog=_BACKLOG,
    )


class DrainingServer(uvicorn.Server):
    """uvicorn's server, which says that it is stopping before it stops, and returns when it has."""

    def __init__(
        self,
        config: uvicorn.Config,
        state: ServerState,
        started: Callable[[str], None] | None = None,
    ) -> None:
        """Prepare; `serve` starts it."""
        super().__init__(config)
        self._state = state
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
        _log.info("urza stops", at_once=self.force_exit)

    async def main_loop(self) -> None:
        """Say where the server is, then run."""
        bound = self.servers[0].sockets[0].getsockname()
        host = f"[{bound[0]}]" if ":" in bound[0] else bound[0]
        url = f"http://{host}:{bound[1]}"
        _log.info("urza serves", url=url, auth=self._state.config.auth)
        if self._tell is not None:
            self._tell(url)
        await super().main_loop()
