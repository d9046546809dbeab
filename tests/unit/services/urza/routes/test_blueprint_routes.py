"""Blueprints over HTTP."""

from __future__ import annotations

import pytest

from esper.contracts.enums import Role
from support.urza_app import API, Served, blueprint

PATH = f"{API}/blueprints/"


async def _submit(urza: Served, blueprint_id: str = "bp-1", **changes: object) -> int:
    body = blueprint(blueprint_id, **changes).model_dump(mode="json")
    return (await urza.call("POST", PATH, role=Role.TRAINER, json=body)).status_code


@pytest.mark.asyncio
async def test_a_blueprint_is_new_once_and_another_under_its_id_is_refused(urza: Served) -> None:
    assert await _submit(urza) == 201
    assert await _submit(urza) == 200
    assert await _submit(urza, name="another") == 422
    read = await urza.call("GET", f"{PATH}bp-1", role=Role.READER)
    assert read.json()["blueprint"]["name"] == "mlp/small"
    assert read.headers["etag"] == '"1"'
    known = {"If-None-Match": '"1"'}
    assert (await urza.call("GET", f"{PATH}bp-1", headers=known)).status_code == 304


@pytest.mark.asyncio
async def test_blueprints_are_found_by_what_they_are(urza: Served) -> None:
    for number in range(3):
        await _submit(urza, f"bp-{number}", family="even" if number % 2 == 0 else "odd")
    page = (await urza.call("GET", PATH, params={"family": "even", "limit": "1"})).json()
    assert [item["blueprint"]["blueprint_id"] for item in page["items"]] == ["bp-2"]
    params = {"family": "even", "cursor": page["next_cursor"]}
    page = (await urza.call("GET", PATH, params=params)).json()
    assert [item["blueprint"]["blueprint_id"] for item in page["items"]] == ["bp-0"]
    assert page["next_cursor"] is None


@pytest.mark.asyncio
async def test_moves_follow_the_table_and_leases_keep_theirs(urza: Served) -> None:
    await _submit(urza)
    path = f"{PATH}bp-1/transitions"
    for event, revision, expected in (
        ("lease", 1, 409),
        ("reopen", 1, 409),
        ("archive", 2, 412),
        ("archive", 1, 200),
        ("archive", 2, 409),
    ):
        headers = {"If-Match": f'"{revision}"'}
        response = await urza.call("POST", path, json={"event": event}, headers=headers)
        assert response.status_code == expected, event


@pytest.mark.asyncio
async def test_what_is_no_blueprint_is_refused_with_what_is_wrong(urza: Served) -> None:
    body = blueprint().model_dump(mode="json")
    response = await urza.call("POST", PATH, json=body | {"parameters": -1, "colour": "red"})
    assert response.status_code == 422
    where = {fault["where"] for fault in response.json()["faults"]}
    assert where == {"body.parameters", "body.colour"}
    assert (await urza.call("GET", f"{PATH}bp-1")).status_code == 404
