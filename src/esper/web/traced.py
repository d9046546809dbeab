"""TracedApp: lets a server's answers be spans of the traces that its callers are in."""

from __future__ import annotations

import time
from secrets import token_hex
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from esper.utils.spans import Span, SpanContext, Spans, parse_traceparent, within
from esper.web.http_metrics import route_of

_SERVER_ERROR: Final = 500


class TracedApp:
    """ASGI middleware: records a span for each request that has a `traceparent`, and for no other.

    What the server itself asks of others meanwhile belongs to that span.
    """

    def __init__(self, app: ASGIApp, spans: Spans) -> None:
        """Stand before `app`."""
        self._app = app
        self._spans = spans

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the exchange on, and record it when it is over."""
        parent = (
            parse_traceparent(Headers(scope=scope).get("traceparent"))
            if scope["type"] == "http"
            else None
        )
        if parent is None:
            await self._app(scope, receive, send)
            return
        status, began = 500, time.time()
        context = SpanContext(parent.trace_id, token_hex(8))

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            with within(context):
                await self._app(scope, receive, noted)
        finally:
            route = route_of(scope)
            self._spans.record(
                Span(
                    name=f"{scope['method']} {route}",
                    context=context,
                    parent=parent,
                    began=began,
                    ended=time.time(),
                    kind="server",
                    attributes={
                        "http.request.method": scope["method"],
                        "http.route": route,
                        "http.response.status_code": status,
                    },
                    error=f"status {status}" if status >= _SERVER_ERROR else None,
                )
            )
