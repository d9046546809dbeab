"""Nissa with the dashboard on a free port, in a thread of its own; and a short real run to show."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from starlette.types import ASGIApp, Receive, Scope, Send

from esper.dashboard.mount import mount
from esper.services.nissa.nissa_app import create_app
from esper.services.nissa.nissa_config import NissaConfig
from esper.services.nissa.run_store import RunStore
from esper.web.draining import DrainingServer
from support import forked

T = TypeVar("T")
SECONDS = 300


class Streams:
    """Counts the streams of news that a server has open."""

    def __init__(self) -> None:
        self.open = 0
        self._changed = threading.Condition()

    def around(self, app: ASGIApp) -> ASGIApp:
        """The application, counted."""

        async def counted(scope: Scope, receive: Receive, send: Send) -> None:
            is_stream = scope["type"] == "http" and scope["path"] == "/live"
            self._add(int(is_stream))
            try:
                await app(scope, receive, send)
            finally:
                self._add(-int(is_stream))

        return counted

    def become(self, number: int) -> bool:
        """Wait until so many are open."""
        with self._changed:
            return self._changed.wait_for(lambda: self.open == number, SECONDS)

    def _add(self, number: int) -> None:
        with self._changed:
            self.open += number
            self._changed.notify_all()


@dataclass(frozen=True)
class DashboardServer:
    """A running dashboard."""

    url: str
    store: RunStore
    loop: asyncio.AbstractEventLoop
    streams: Streams

    def ask(self, question: Callable[[RunStore], Awaitable[T]]) -> T:
        """Return what the store answers; the store lives in the server's thread."""

        async def asked() -> T:
            return await question(self.store)

        return asyncio.run_coroutine_threadsafe(asked(), self.loop).result(SECONDS)


@contextmanager
def dashboard_server(file: Path) -> Iterator[DashboardServer]:
    """Serve the run store in `file`, which is made if it is not there."""
    ready = threading.Event()
    found: list[DashboardServer] = []
    servers: list[DrainingServer] = []
    streams = Streams()

    async def serve() -> None:
        store = await RunStore.open(f"sqlite:///{file}")
        app = create_app(store, NissaConfig(store=f"sqlite:///{file}"))
        mount(app, store, stopping=lambda: servers[0].should_exit)
        place = asyncio.get_running_loop()

        def started(url: str) -> None:
            found.append(DashboardServer(url, store, place, streams))
            ready.set()

        server = DrainingServer(
            streams.around(app),
            app.state.nissa,
            name="dashboard",
            host="127.0.0.1",
            port=0,
            drain_seconds=2,
            started=started,
        )
        servers.append(server)
        await server.serve()
        await store.close()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="dashboard", daemon=True)
    thread.start()
    assert ready.wait(SECONDS)
    try:
        yield found[0]
    finally:
        found[0].loop.call_soon_threadsafe(servers[0].stop)
        thread.join(SECONDS)
        assert not thread.is_alive()


def train_short_run(folder: Path) -> Path:
    """Train a real run of 800 steps, in which a kernel grows; return its folder."""
    run = folder / "run"
    command = [sys.executable, "-m", "esper.cli", "train", "--quick-start", "mnist1d"]
    environment = {**os.environ, "ESPER_HOME": str(folder / "home")}
    forked.run(
        [*command, "--steps", "800", "--output", str(run)],
        env=environment,
        check=True,
        capture_output=True,
        timeout=300,
    )
    return run
