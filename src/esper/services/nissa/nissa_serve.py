"""serve: runs Nissa as a server until it is told to stop, and then stops in order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from fastapi import FastAPI

from esper.services.nissa.nissa_app import create_app
from esper.services.nissa.nissa_config import NissaConfig
from esper.services.nissa.nissa_metrics import ObserverMetrics
from esper.services.nissa.nissa_state import NissaState
from esper.services.nissa.run_store import RunStore
from esper.utils.collecting import settle
from esper.web.draining import DrainingServer


class Mount(Protocol):
    """Puts further pages onto the application, the dashboard's for example."""

    def __call__(self, app: FastAPI, store: RunStore, *, stopping: Callable[[], bool]) -> None:
        """Put them there; what they stream ends when `stopping` says so."""


def serve(
    config: NissaConfig,
    *,
    metrics: ObserverMetrics | None = None,
    mount: Mount | None = None,
    started: Callable[[str], None] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        config: The settings.
        metrics: What `/metrics` shows, if somebody else counts as well.
        mount: Puts further pages onto the application.
        started: Is told the server's URL once it takes requests.

    Raises:
        RunStoreError: The store cannot be opened.
        PlatformError: The port is taken.
    """
    asyncio.run(_serve(config, metrics, mount, started))


async def _serve(
    config: NissaConfig,
    metrics: ObserverMetrics | None,
    mount: Mount | None,
    started: Callable[[str], None] | None,
) -> None:
    store = await RunStore.open(config.store)
    try:
        app = create_app(store, config, metrics=metrics)
        if mount is not None:
            mount(app, store, stopping=lambda: app.state.nissa.draining)
        server = DrainingServer(
            app,
            app.state.nissa,
            name="nissa",
            host=config.host,
            port=config.port,
            drain_seconds=config.drain_seconds,
            started=started,
        )
        settle()
        reading = asyncio.create_task(_read(app.state.nissa))
        try:
            await server.serve()
        finally:
            reading.cancel()
    finally:
        await store.close()


async def _read(state: NissaState) -> None:
    while True:
        state.trends.read(state.clock.now())
        await asyncio.sleep(state.config.reading_seconds)
