"""mount: puts the dashboard onto a web application, beside whatever that serves already."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from esper.contracts.errors import EsperError, RunNotFoundError
from esper.contracts.ports import Clock
from esper.dashboard.chart_library import chart_library
from esper.dashboard.dashboard_config import DashboardConfig
from esper.dashboard.live import news
from esper.dashboard.pages import Pages
from esper.dashboard.templating import Templates, palettes
from esper.services.nissa.run_store import RunStore
from esper.utils.clock import SystemClock

Handler = Callable[[Request], Awaitable[Response]]

ASSETS: Final = Path(__file__).parent / "assets"
HEADERS: Final = {
    # Nothing is loaded from elsewhere, and nothing is sent there: the browser holds that.
    # Styles may stand in attributes, where bars and tooltips have their sizes.
    "Content-Security-Policy": (
        "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "frame-ancestors 'none'; form-action 'self'; base-uri 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
"""Of every page."""


def mount(
    app: FastAPI,
    store: RunStore,
    *,
    config: DashboardConfig | None = None,
    clock: Clock | None = None,
    stopping: Callable[[], bool] = lambda: False,
) -> None:
    """Serve the dashboard from `app`: `/`, `/runs/…` and the like, which must be free.

    Args:
        app: The application.
        store: Where the runs are; whoever opened it closes it.
        config: The settings.
        clock: Tells the time; None means the machine's.
        stopping: Whether the server is about to end: streams to open pages then end, too.

    Raises:
        ConfigError: The chart library is not installed.
    """
    config, clock = config or DashboardConfig(), clock or SystemClock()
    pages = Pages(store, Templates(clock), config)

    async def live(request: Request) -> Response:
        stream = news(
            store, request.query_params.get("run"), config=config, clock=clock, stopping=stopping
        )
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(stream, media_type="text/event-stream", headers=headers)

    async def colours(request: Request) -> Response:
        return PlainTextResponse(palettes(), media_type="text/css")

    addresses: dict[str, Handler] = {
        "/": pages.runs,
        "/runs/{run}": pages.run,
        "/compare": pages.compare,
        "/kernels": pages.kernels,
        "/kernels/{kernel}": pages.kernel,
        "/platform": pages.platform,
        "/alerts": pages.alerts,
        "/data/runs/{run}/curves": pages.run_curves,
        "/data/runs/{run}/health": pages.health,
        "/data/compare": pages.comparison_curves,
    }
    app.router.routes.extend(
        [
            *(Route(path, _guarded(pages, handler)) for path, handler in addresses.items()),
            Route("/live", live),
            Route("/assets/colours.css", colours),
            Mount("/assets/charts", StaticFiles(directory=chart_library())),
            Mount("/assets", StaticFiles(directory=ASSETS)),
        ]
    )


def _guarded(pages: Pages, handler: Handler) -> Handler:
    """Return the handler, whose errors become pages too."""

    async def answer(request: Request) -> Response:
        try:
            response = await handler(request)
        except RunNotFoundError as error:
            response = await pages.trouble(request, error, 404)
        except EsperError as error:
            response = await pages.trouble(request, error, 503)
        response.headers.update(HEADERS)
        return response

    return answer
