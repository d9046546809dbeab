"""create_app: Nissa's HTTP interface as an ASGI application. serve: runs it until told to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute

from esper.contracts.ports import Clock
from esper.contracts.version import VERSION
from esper.services.nissa.nissa_config import NissaConfig
from esper.services.nissa.nissa_metrics import ObserverMetrics
from esper.services.nissa.nissa_routes import CONDITION, PLATFORM, RUNS
from esper.services.nissa.nissa_state import NissaState
from esper.services.nissa.run_store import RunStore
from esper.services.nissa.token_guard import TokenGuard
from esper.services.nissa.trends import Trends
from esper.utils.clock import SystemClock
from esper.utils.collecting import settle
from esper.web.draining import DrainingServer
from esper.web.http_metrics import HttpMetrics, MeasuredApp
from esper.web.problems import PLATFORM_CODES, add_refusals, describe, install

ROUTERS: Final[tuple[APIRouter, ...]] = (CONDITION, RUNS, PLATFORM)


def create_app(
    store: RunStore,
    config: NissaConfig,
    *,
    metrics: ObserverMetrics | None = None,
    clock: Clock | None = None,
) -> FastAPI:
    """Return the application that answers from `store`.

    Args:
        store: The runs, open; whoever opened it closes it.
        config: The settings.
        metrics: What `/metrics` shows; None starts every counter at zero.
        clock: Tells the time; None means the machine's.
    """
    counted = metrics or ObserverMetrics()
    # No documentation pages: they would load their scripts from a server that is not ours.
    app = FastAPI(
        title="Nissa",
        version=VERSION,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        generate_unique_id_function=_name,
    )
    for router in ROUTERS:
        app.include_router(router)
    app.state.nissa = NissaState(
        store=store,
        config=config,
        metrics=counted,
        trends=Trends(counted.registry, config.readings),
        clock=clock or SystemClock(),
    )
    app.add_middleware(TokenGuard, token=config.token)
    app.add_middleware(MeasuredApp, metrics=HttpMetrics("esper_nissa", counted.registry))
    add_refusals(app, PLATFORM_CODES)
    install(app, describe(app))
    return app


def _name(route: APIRoute) -> str:
    return route.name


class Mount(Protocol):
    """Puts further pages onto the application, the dashboard's for example."""

    def __call__(self, app: FastAPI, store: RunStore, *, stopping: Callable[[], bool]) -> None:
        """Put them there; what they stream ends when `stopping` says so."""


async def serve(
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
