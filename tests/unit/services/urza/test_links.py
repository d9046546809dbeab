"""Links between answers and the requests that they make possible."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from esper.services.urza.access import ACCESS
from esper.services.urza.links import LINKS
from support.urza_app import Served


def _operations(urza: Served) -> Mapping[str, dict[str, Any]]:
    paths = urza.app.openapi()["paths"].values()
    return {entry["operationId"]: entry for path in paths for entry in path.values()}


def test_links_lead_from_routes_to_routes() -> None:
    assert set(LINKS) <= set(ACCESS)
    assert {target for links in LINKS.values() for target, _, _ in links} <= set(ACCESS)


@pytest.mark.asyncio
async def test_a_link_gives_parameters_that_its_target_has(urza: Served) -> None:
    operations = _operations(urza)
    for links in LINKS.values():
        for target, parameters, body in links:
            known = {
                f"{entry['in']}.{entry['name']}"
                for entry in operations[target].get("parameters", ())
            }
            assert set(parameters) <= known, target
            assert body is None or "requestBody" in operations[target]
