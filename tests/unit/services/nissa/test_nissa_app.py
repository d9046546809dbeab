"""The application: described, documented, and in order where something breaks."""

from __future__ import annotations

import pytest
from fastapi.routing import APIRoute

from docs import pages
from esper.services.nissa.nissa_app import ROUTERS
from esper.services.nissa.run_store import RunStore
from support.nissa_app import caller

GUIDE = (pages.ROOT / "docs" / "guides" / "observability.md").read_text(encoding="utf-8")
ROUTES = [r for router in ROUTERS for r in router.routes if isinstance(r, APIRoute)]


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.path)
def test_every_route_is_in_the_guide_and_says_what_it_answers(route: APIRoute) -> None:
    shown = route.path.replace("{kernel_id}", "{id}")
    if shown.endswith("/curves/{name:path}"):
        shown = "…/curves/{name}"
    assert f"`{shown}`" in GUIDE
    assert route.endpoint.__doc__


@pytest.mark.asyncio
async def test_the_description_has_every_route_under_its_own_name(runs: RunStore) -> None:
    async with caller(runs) as client:
        text = (await client.get("/openapi.json")).json()
    names = [
        operation["operationId"] for path in text["paths"].values() for operation in path.values()
    ]
    assert sorted(names) == sorted(route.name for route in ROUTES if route.include_in_schema)
    assert "Problem" in text["components"]["schemas"]


@pytest.mark.asyncio
async def test_a_store_that_is_gone_is_a_problem_without_details(runs: RunStore) -> None:
    async with caller(runs) as client:
        assert (await client.get("/nowhere")).status_code == 404
        assert (await client.get("/api/v1/runs", params={"limit": 0})).status_code == 422
        counted = (await client.get("/metrics")).text
    assert 'esper_nissa_requests_total{method="GET",route="runs",status="422"} 1.0' in counted
    assert 'route="none",status="404"' in counted
