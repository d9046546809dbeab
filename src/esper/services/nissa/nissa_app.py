"""create_app: Nissa's HTTP interface as an ASGI application."""

from __future__ import annotations

from typing import Final

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
from esper.web.description import describe, install
from esper.web.http_metrics import HttpMetrics, MeasuredApp
from esper.web.problems import PLATFORM_CODES
from esper.web.refusals import add_refusals

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
