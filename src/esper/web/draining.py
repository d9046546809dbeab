"""DrainingServer: runs an ASGI application until it is told to stop, and then stops in order.

At SIGTERM (or Ctrl+C) `/readyz` answers 503 at once, no new connection is taken, and what is being
answered is finished within the time that was given. A second signal ends it now. Callers are held
to the limits of `connections.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, cast

import uvicorn

from esper.contracts.errors import EsperError, PlatformError
from esper.utils.logging import get_logger
from esper.utils.stop import stop_signals
from esper.web.connections import ConnectionLimits, GuardedProtocol, GuardedState

_HEADERS: Final = [("X-Content-Type-Options", "nosniff")]
_IDLE_SECONDS: Final = 75
_BACKLOG: Final = 1024
_TICKS_BETWEEN_SWEEPS: Final = 10
_TICK_SECONDS: Final = 0.1
"""How often uvicorn calls `on_tick`."""

_log = get_logger("web")


@dataclass(kw_only=True)
class Draining:
    """Whether a server is about to stop: the base of a server's own state."""

    draining: bool = False
    """It finishes what it has, and is not ready for more."""


class DrainingServer(uvicorn.Server):
    """uvicorn's server, which says that it is stopping before it stops, and returns when it has."""

    def __init__(
        self,
        app: object,
        state: Draining,
        *,
        name: str,
        host: str,
        port: int,
        drain_seconds: float,
        unavailable: type[EsperError] = PlatformError,
        started: Callable[[str], None] | None = None,
        limits: ConnectionLimits | None = None,
    ) -> None:
        """Prepare; `serve` starts it.

        Args:
            app: The ASGI application.
            state: Is told when the server begins to stop.
            name: What the log calls the server.
            host: Address to listen on.
            port: Port to listen on; 0 takes a free one.
            drain_seconds: How long what is being answered may take to finish.
            unavailable: Raised by `serve` where the port is taken.
            started: Is told the server's URL once it takes requests.
            limits: What callers may take; None for the usual ones.
        """
        config = uvicorn.Config(
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
            http=GuardedProtocol,
            ws="none",
            timeout_keep_alive=_IDLE_SECONDS,
            timeout_graceful_shutdown=max(round(drain_seconds), 1),
            # So many connections asyncio accepts in a row; where files run out it fails, and writes
            # a traceback, as often. The system's own queue is made longer in `startup`.
            backlog=1,
        )
        super().__init__(config)
        self.server_state: GuardedState = GuardedState(limits=limits or ConnectionLimits())
        self._state, self._name = state, name
        self._unavailable, self._tell = unavailable, started

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until told to stop.

        Raises:
            EsperError: `unavailable`: the port is taken.
        """
        try:
            await super().serve(sockets)
        except SystemExit as stopped:
            # How uvicorn says that it could not listen; it has logged why.
            raise self._unavailable(
                f"cannot listen on {self.config.host}:{self.config.port}; is another server there "
                "already? Choose another port."
            ) from stopped

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take the signals that ask to stop while serving; being asked is no failure."""
        if threading.current_thread() is not threading.main_thread():
            yield  # signals are the main thread's
            return
        loop = asyncio.get_running_loop()
        signals = stop_signals()
        for number in signals:
            loop.add_signal_handler(number, self._asked, number)
        try:
            yield
        finally:
            for number in signals:
                loop.remove_signal_handler(number)

    def _asked(self, number: signal.Signals) -> None:
        if number in {signal.SIGTERM, signal.SIGINT} or not self._state.draining:
            self.stop()

    def stop(self) -> None:
        """Begin to stop; at the second call at once."""
        self.force_exit = self._state.draining
        self._state.draining = True
        self.should_exit = True
        _log.info(f"{self._name} stops", at_once=self.force_exit)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, with a queue for those who come while others are being accepted."""
        await super().startup(sockets)
        asyncio.get_running_loop().set_exception_handler(self._on_problem)
        for listener in (wire for server in self.servers for wire in server.sockets):
            with socket.socket(fileno=os.dup(listener.fileno())) as twin:
                twin.listen(_BACKLOG)

    def _on_problem(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if "out of system resource" in context["message"]:
            # asyncio tries again in a second; some must have left by then.
            some = len(self.server_state.connections) // 4 + 1
            self.server_state.make_room("out_of_files", count=some)
        else:
            loop.default_exception_handler(context)

    async def on_tick(self, counter: int) -> bool:
        """Look after the connections once a second."""
        if counter % _TICKS_BETWEEN_SWEEPS == 0:
            now = asyncio.get_running_loop().time()
            self.server_state.sweep(now, _TICKS_BETWEEN_SWEEPS * _TICK_SECONDS)
        return await super().on_tick(counter)

    async def main_loop(self) -> None:
        """Say where the server is, then run."""
        bound = self.servers[0].sockets[0].getsockname()
        host = f"[{bound[0]}]" if ":" in bound[0] else bound[0]
        url = f"http://{host}:{bound[1]}"
        _log.info(f"{self._name} serves", url=url)
        if self._tell is not None:
            self._tell(url)
        await super().main_loop()
