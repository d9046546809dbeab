"""What a server counts of its exchanges, in Prometheus' text format, and its spans.

Every name begins with the server's own, `esper_urza` for example; the table leaves it out.

| metric | what it counts |
|---|---|
| `_requests_total` | answers, by `route`, `method` and `status` |
| `_request_seconds` | time from a request's head to the end of its answer, by `route` |
| `_requests_in_flight` | requests that are being answered now |
| `_refusals_total` | requests that were turned away before any work, by `reason` |
| `_body_bytes_total` | bytes of bodies, by `direction` (`in`, `out`) |
"""

from __future__ import annotations

import time
from secrets import token_hex
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from esper.utils.spans import Span, SpanContext, Spans, parse_traceparent, within

MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE"})
_SERVER_ERROR: Final = 500
ROUTE: Final = "esper.route"
"""Key of the connection's scope under which a route leaves its name."""


class HttpMetrics:
    """A server's counters, in a registry of their own: two servers in a process do not mix."""

    def __init__(self, name: str, registry: CollectorRegistry | None = None) -> None:
        """Start every counter at zero.

        Args:
            name: What every metric's name begins with, `esper_urza` for example.
            registry: Where the counters stand; None makes a new one.
        """
        self.registry = CollectorRegistry() if registry is None else registry
        labels = ("route", "method", "status")
        self._requests = Counter(f"{name}_requests", "Answers.", labels, registry=self.registry)
        self._seconds = Histogram(
            f"{name}_request_seconds",
            "Time from a request's head to the end of its answer.",
            ("route",),
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.in_flight = Gauge(
            f"{name}_requests_in_flight", "Requests being answered.", registry=self.registry
        )
        self._refusals = Counter(
            f"{name}_refusals",
            "Requests that were turned away before any work.",
            ("reason",),
            registry=self.registry,
        )
        self._bytes = Counter(
            f"{name}_body_bytes", "Bytes of bodies.", ("direction",), registry=self.registry
        )
        self._received = self._bytes.labels("in")
        self._sent = self._bytes.labels("out")

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count one answer."""
        # A method is whatever a caller sent: without this, strangers could grow the registry.
        known = method if method in _METHODS else "other"
        self._requests.labels(route, known, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def refused(self, reason: str) -> None:
        """Count one request that was turned away; `reason` is one of a few words."""
        self._refusals.labels(reason).inc()

    def moved(self, received: int, sent: int) -> None:
        """Count the bytes of one exchange's bodies."""
        if received:
            self._received.inc(received)
        if sent:
            self._sent.inc(sent)

    def text(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self.registry)


class MeasuredApp:
    """ASGI middleware: counts and times every exchange, whatever becomes of it.

    One that has a `traceparent` is a span as well, and what the server itself asks of others
    meanwhile belongs to that span.
    """

    def __init__(self, app: ASGIApp, metrics: HttpMetrics, spans: Spans | None = None) -> None:
        """Stand before `app`; without `spans` nothing is traced."""
        self._app, self._metrics, self._spans = app, metrics, spans

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the exchange on, and count it when it is over."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status, received, sent = 500, 0, 0
        started, began = time.perf_counter(), time.time()
        parent = parse_traceparent(Headers(scope=scope).get("traceparent")) if self._spans else None
        context = SpanContext(parent.trace_id, token_hex(8)) if parent else None

        async def counted_receive() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            return message

        async def counted_send(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status = message["status"]
            else:
                sent += len(message.get("body", b""))
            await send(message)

        self._metrics.in_flight.inc()
        try:
            with within(context):
                await self._app(scope, counted_receive, counted_send)
        finally:
            self._metrics.in_flight.dec()
            self._metrics.moved(received, sent)
            seconds, route = time.perf_counter() - started, route_of(scope)
            self._metrics.answered(route, scope["method"], status, seconds)
            if self._spans and context:
                self._spans.record(_span(scope["method"], route, status, context, parent, began))


def _span(
    method: str,
    route: str,
    status: int,
    context: SpanContext,
    parent: SpanContext | None,
    began: float,
) -> Span:
    return Span(
        name=f"{method} {route}",
        context=context,
        parent=parent,
        began=began,
        ended=time.time(),
        kind="server",
        attributes={
            "http.request.method": method,
            "http.route": route,
            "http.response.status_code": status,
        },
        error=f"status {status}" if status >= _SERVER_ERROR else None,
    )


def route_of(scope: Scope) -> str:
    """Return the name of the route that answered, once it has; `none` where there is none."""
    # A route that leaves no name of its own is left by the router, where it was found at all.
    return scope.get(ROUTE) or getattr(scope.get("route"), "name", None) or "none"
