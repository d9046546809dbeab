"""mount: puts the dashboard onto a web application, beside whatever that serves already."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from esper.contracts.errors import EsperError, RunNotFoundError
from esper.contracts.ports import Clock
from esper.dashboard.live import news
from esper.dashboard.pages import Pages
from esper.dashboard.templating import Templates
from esper.report import wording
from esper.report.page import stylesheet
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
    clock: Clock | None = None,
    stopping: Callable[[], bool] = lambda: False,
) -> None:
    """Serve the dashboard from `app`: `/`, `/runs/…` and the like, which must be free.

    Args:
        app: The application.
        store: Where the runs are; whoever opened it closes it.
        clock: Tells the time; None means the machine's.
        stopping: Whether the server is about to end: streams to open pages then end, too.
    """
    clock = clock or SystemClock()
    pages = Pages(store, Templates(clock))

    async def live(request: Request) -> Response:
        stream = news(store, clock=clock, stopping=stopping)
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(stream, media_type="text/event-stream", headers=headers)

    async def style(request: Request) -> Response:
        return PlainTextResponse(stylesheet(), media_type="text/css")

    addresses: dict[str, Handler] = {
        "/": pages.runs,
        "/runs/{run}": pages.run,
        "/compare": pages.compare,
        "/kernels": pages.kernels,
        "/kernels/{kernel}": pages.kernel,
        "/platform": pages.platform,
        "/alerts": pages.alerts,
        "/runbook": pages.runbook,
        "/data/runs/{run}/health": pages.health,
    }
    _not_found(app, pages)
    app.router.routes.extend(
        [
            *(Route(path, _guarded(pages, handler)) for path, handler in addresses.items()),
            Route(
                "/alerts/{alert}/acknowledgement",
                _guarded(pages, pages.acknowledge),
                methods=["POST"],
            ),
            Route("/live", live),
            Route("/assets/style.css", style),
            Mount("/assets", StaticFiles(directory=ASSETS)),
        ]
    )


def _not_found(app: FastAPI, pages: Pages) -> None:
    """Let an address that nobody has answer with a page, where a browser asks for one."""
    plain = app.exception_handlers[HTTPException]

    async def answer(request: Request, error: Exception) -> Response:
        wants_page = "text/html" in request.headers.get("accept", "")
        if not wants_page or not isinstance(error, HTTPException) or error.status_code != 404:
            refusal = plain(request, error)
            return await refusal if isinstance(refusal, Awaitable) else refusal
        path = wording.visible(request.url.path)
        response = pages.trouble(RunNotFoundError(f"no page is at {path}"))
        response.headers.update(HEADERS)
        return response

    app.add_exception_handler(HTTPException, answer)


def _guarded(pages: Pages, handler: Handler) -> Handler:
    """Return the handler, whose errors become pages too."""

    async def answer(request: Request) -> Response:
        try:
            response = await handler(request)
        except EsperError as error:
            response = pages.trouble(error)
        response.headers.update(HEADERS)
        return response

    return answer
