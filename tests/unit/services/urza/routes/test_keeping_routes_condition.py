"""How the server is: alive, ready, counted, described."""

from __future__ import annotations

import pytest

from esper.contracts.enums import Role
from support.urza_app import Served


@pytest.mark.asyncio
async def test_a_server_that_is_stopping_lives_and_is_not_ready(urza: Served) -> None:
    ready = await urza.call("GET", "/readyz", role=None)
    assert (ready.status_code, ready.json()) == (200, {"status": "ready"})
    urza.app.state.urza.draining = True
    stopping = await urza.call("GET", "/readyz", role=None)
    assert (stopping.status_code, stopping.json()["code"]) == (503, "LibraryUnavailableError")
    alive = await urza.call("GET", "/livez", role=None)
    assert (alive.status_code, alive.json()) == (200, {"status": "live"})


@pytest.mark.asyncio
async def test_what_was_answered_is_counted_by_route(urza: Served) -> None:
    await urza.call("GET", "/livez")
    await urza.call("GET", "/api/v1/kernels/nonsense")
    text = (await urza.call("GET", "/metrics", role=Role.READER)).text
    assert 'esper_urza_requests_total{method="GET",route="livez",status="200"} 1.0' in text
    assert 'esper_urza_requests_total{method="GET",route="get_kernel",status="422"} 1.0' in text
