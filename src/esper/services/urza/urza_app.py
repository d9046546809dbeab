"""The library as an ASGI application, and as a server that runs until it is told to stop.

At SIGTERM (or Ctrl+C) `/readyz` answers 503 at once, no new connection is taken, what is being
answered is finished within `drain_seconds`, and the store is closed. A second signal ends it now.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from fastapi import APIRouter, FastAPI

from esper.contracts.errors import ConfigError, LibraryUnavailableError
from esper.contracts.version import VERSION
from esper.services.urza.access import ACCESS, check_exposure, check_listed
from esper.services.urza.authentication import Authenticator
from esper.services.urza.guarded_route import GuardedRoute, ServerState
from esper.services.urza.kernel_library import Library
from esper.services.urza.oidc import OidcCheck
from esper.services.urza.request_limits import RateLimiter
from esper.services.urza.routes.blob_routes import BLOBS
from esper.services.urza.routes.blueprint_routes import BLUEPRINTS, WORK
from esper.services.urza.routes.keeping_routes import AUDIT, CONDITION, GARBAGE, TOKENS
from esper.services.urza.routes.kernel_routes import ALIASES, FIELD_REPORTS, KERNELS
from esper.services.urza.urza_config import UrzaConfig
from esper.utils.clock import SystemClock
from esper.utils.spans import Spans, open_spans
from esper.web.draining import DrainingServer
from esper.web.http_metrics import HttpMetrics, MeasuredApp
from esper.web.problems import LIBRARY_CODES, add_refusals, describe, install

# The most frequent ones first: routes are tried in order.
ROUTERS: Final[tuple[APIRouter, ...]] = (
    KERNELS,
    BLOBS,
    WORK,
    BLUEPRINTS,
    FIELD_REPORTS,
    ALIASES,
    AUDIT,
    GARBAGE,
    TOKENS,
    CONDITION,
)


def create_app(
    library: Library,
    config: UrzaConfig,
    *,
    routers: tuple[APIRouter, ...] = ROUTERS,
    spans: Spans | None = None,
) -> FastAPI:
    """Return the application that serves `library`.

    Args:
        library: The store, open; whoever opened it closes it.
        config: The settings.
        routers: Where the routes come from.
        spans: Where the spans of traced requests go; None traces nothing.

    Raises:
        ConfigError: A route is not in the access table, or an address that others can reach is to
            be served without authentication.
    """
    check_exposure(config.host, config.auth)
    # No documentation pages: they would load their scripts from a server that is not ours.
    app = FastAPI(title="Urza", version=VERSION, docs_url=None, redoc_url=None, openapi_url=None)
    for router in routers:
        # Not `include_router`: the routes have their whole path, and stay one flat list.
        app.router.routes.extend(router.routes)
    _check_guarded(app)
    clock = SystemClock()
    verify = None if config.oidc is None else OidcCheck(config.oidc, clock).verify
    app.state.urza = ServerState(
        library=library,
        config=config,
        authenticator=Authenticator(library.tokens.authenticate, clock, verify),
        limiter=RateLimiter(config.rate_per_second, config.rate_burst, clock),
        metrics=HttpMetrics("esper_urza"),
    )
    app.add_middleware(MeasuredApp, metrics=app.state.urza.metrics, spans=spans)
    add_refusals(app, LIBRARY_CODES)
    install(app, _description(app))
    return app


def _check_guarded(app: FastAPI) -> None:
    for route in app.routes:
        if not isinstance(route, GuardedRoute):
            raise ConfigError(
                f"the route {getattr(route, 'path', route)!r} is no GuardedRoute: nothing would "
                "check who calls it. Make its router with `guarded_route.router`."
            )
    check_listed(route.name for route in app.routes if isinstance(route, GuardedRoute))


def _description(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI description: problems and the bearer token said once, where it is needed."""
    text = describe(app)
    text["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    for path in text["paths"].values():
        for operation in path.values():
            if ACCESS[operation["operationId"]] is not None:
                operation["security"] = [{"token": []}]
    return text


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
    asyncio.run(_serve(config, started))


async def _serve(config: UrzaConfig, started: Callable[[str], None] | None) -> None:
    library = await Library.open(config, SystemClock())
    spans = open_spans("esper-urza")
    try:
        app = create_app(library, config, spans=spans)
        server = DrainingServer(
            app,
            app.state.urza,
            name="urza",
            host=config.host,
            port=config.port,
            drain_seconds=config.drain_seconds,
            unavailable=LibraryUnavailableError,
            started=started,
        )
        await server.serve()
    finally:
        await library.close()
        if spans is not None:
            spans.close()
