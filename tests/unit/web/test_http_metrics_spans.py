"""A server's answers are spans of the traces that its callers are in."""

from __future__ import annotations

import httpx
import pytest
from fastapi import FastAPI

from esper.utils.spans import Span, current_traceparent, root_of
from esper.web.http_metrics import HttpMetrics, MeasuredApp
from support.kept_spans import KeptSpans

ROOT = root_of("a" * 32)


async def _asked(path: str, **headers: str) -> tuple[httpx.Response, list[Span]]:
    app, kept = FastAPI(), KeptSpans()

    @app.get("/kernels/{kernel}", name="get_kernel")
    async def get_kernel(kernel: str) -> str | None:
        if kernel == "broken":
            raise ValueError(kernel)
        return current_traceparent()

    app.add_middleware(MeasuredApp, metrics=HttpMetrics("test"), spans=kept)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        return await client.get(path, headers=headers), kept.spans


@pytest.mark.asyncio
async def test_a_traced_request_is_a_span_under_its_callers_and_what_it_asks_under_it() -> None:
    answer, (span,) = await _asked("/kernels/1", traceparent=ROOT.header)
    assert answer.json() == span.context.header
    assert (span.name, span.kind, span.parent) == ("GET get_kernel", "server", ROOT)
    assert span.context.trace_id == ROOT.trace_id
    assert span.context.span_id != ROOT.span_id
    assert span.attributes["http.response.status_code"] == 200
    assert span.began <= span.ended
    assert span.error is None


@pytest.mark.asyncio
async def test_a_request_that_nobody_traces_is_no_span() -> None:
    for headers in ({}, {"traceparent": "nonsense"}):
        answer, spans = await _asked("/kernels/1", **headers)
        assert (answer.json(), spans) == (None, [])


@pytest.mark.asyncio
async def test_an_answer_that_fails_is_an_error_and_an_unknown_path_has_no_name() -> None:
    _, (span,) = await _asked("/kernels/broken", traceparent=ROOT.header)
    assert span.error == "status 500"
    _, (span,) = await _asked("/nowhere/secret", traceparent=ROOT.header)
    assert span.name == "GET none"
    assert "secret" not in str(span.attributes)
