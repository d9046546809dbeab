"""The server's counters."""

from __future__ import annotations

import pytest
from starlette.types import Message, Receive, Scope, Send

from esper.web import http_metrics
from esper.web.http_metrics import HttpMetrics, MeasuredApp


async def _exchange(app: MeasuredApp, method: str = "GET") -> list[Message]:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"12345", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    await app({"type": "http", "method": method}, receive, send)
    return sent


async def _answering(scope: Scope, receive: Receive, send: Send) -> None:
    scope[http_metrics.ROUTE] = "get_kernel"
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"abc", "more_body": True})
    await send({"type": "http.response.body", "body": b"def"})


async def _failing(scope: Scope, receive: Receive, send: Send) -> None:
    raise ValueError("broken")


def _value(counted: HttpMetrics, name: str, **labels: str) -> float | None:
    return counted.registry.get_sample_value(name, labels)


@pytest.mark.asyncio
async def test_an_exchange_is_counted_with_its_route_and_bytes() -> None:
    counted = HttpMetrics("esper_urza")
    for _ in range(2):
        await _exchange(MeasuredApp(_answering, counted))
    where = {"route": "get_kernel", "method": "GET", "status": "200"}
    assert _value(counted, "esper_urza_requests_total", **where) == 2
    assert _value(counted, "esper_urza_request_seconds_count", route="get_kernel") == 2
    assert _value(counted, "esper_urza_body_bytes_total", direction="in") == 10
    assert _value(counted, "esper_urza_body_bytes_total", direction="out") == 12
    assert _value(counted, "esper_urza_requests_in_flight") == 0


@pytest.mark.asyncio
async def test_an_exchange_that_breaks_is_counted_as_a_failure() -> None:
    counted = HttpMetrics("esper_urza")
    with pytest.raises(ValueError, match="broken"):
        await _exchange(MeasuredApp(_failing, counted))
    where = {"route": "none", "method": "GET", "status": "500"}
    assert _value(counted, "esper_urza_requests_total", **where) == 1
    assert _value(counted, "esper_urza_requests_in_flight") == 0


@pytest.mark.asyncio
async def test_strangers_cannot_grow_the_registry_with_methods_of_their_own() -> None:
    counted = HttpMetrics("esper_urza")
    for number in range(3):
        await _exchange(MeasuredApp(_answering, counted), f"METHOD{number}")
    where = {"route": "get_kernel", "method": "other", "status": "200"}
    assert _value(counted, "esper_urza_requests_total", **where) == 3


def test_every_metric_is_documented_in_the_modules_docstring() -> None:
    counted = HttpMetrics("esper_urza")
    counted.refused("rate")
    names = {
        line.split()[2]
        for line in counted.text().decode().splitlines()
        if line.startswith("# TYPE") and not line.split()[2].endswith("_created")
    }
    assert names
    assert all(
        f"`{name.removeprefix('esper_urza')}`" in (http_metrics.__doc__ or "") for name in names
    ), names
