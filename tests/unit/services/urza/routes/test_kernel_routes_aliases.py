"""Aliases over HTTP: compare-and-swap."""

from __future__ import annotations

import pytest

import kernels
from esper.contracts.enums import Role
from support.urza_app import API, KERNEL_ID, Served

PATH = f"{API}/aliases/edge@staging"
NEW = {"If-None-Match": "*"}


@pytest.mark.asyncio
async def test_an_alias_is_made_moved_and_removed_by_who_knows_how_it_is(urza: Served) -> None:
    await urza.kernel()
    other = await urza.kernel(kernels.kernel_file(seed=1))
    target = {"kernel_id": KERNEL_ID}
    assert (await urza.call("PUT", PATH, json=target)).status_code == 428
    made = await urza.call("PUT", PATH, role=Role.PROMOTER, json=target, headers=NEW)
    assert made.status_code == 201
    again = await urza.call("PUT", PATH, json=target, headers=NEW)
    assert (again.status_code, again.json()["code"]) == (412, "RevisionConflictError")
    here = {"If-Match": made.headers["etag"]}
    moved = await urza.call("PUT", PATH, json={"kernel_id": other}, headers=here)
    assert (moved.status_code, moved.json()["kernel_id"]) == (200, other)
    assert (await urza.call("PUT", PATH, json=target, headers=here)).status_code == 412
    read = await urza.call("GET", PATH, role=Role.READER)
    assert read.json() == moved.json()
    assert read.headers["etag"] == moved.headers["etag"]
    assert (await urza.call("DELETE", PATH)).status_code == 428
    assert (await urza.call("DELETE", PATH, headers=here)).status_code == 412
    gone = await urza.call("DELETE", PATH, headers={"If-Match": read.headers["etag"]})
    assert gone.status_code == 204
    assert (await urza.call("GET", PATH)).status_code == 404


@pytest.mark.asyncio
async def test_aliases_are_listed_by_name(urza: Served) -> None:
    await urza.kernel()
    for name in ("b@x", "a@x"):
        path = f"{API}/aliases/{name}"
        await urza.call("PUT", path, json={"kernel_id": KERNEL_ID}, headers=NEW)
    page = (await urza.call("GET", f"{API}/aliases/")).json()
    assert [item["name"] for item in page["items"]] == ["a@x", "b@x"]


@pytest.mark.asyncio
async def test_an_alias_to_nothing_is_refused(urza: Served) -> None:
    response = await urza.call("PUT", PATH, json={"kernel_id": KERNEL_ID}, headers=NEW)
    assert response.status_code in {404, 422}


@pytest.mark.asyncio
async def test_an_alias_is_a_subject_at_a_stage(urza: Served) -> None:
    await urza.kernel()
    path = f"{API}/aliases/nameless"
    response = await urza.call("PUT", path, json={"kernel_id": KERNEL_ID}, headers=NEW)
    assert (response.status_code, response.json()["code"]) == (422, "SubmissionError")
