"""Kernels over HTTP."""

from __future__ import annotations

import hashlib

import pytest

import kernels
from esper.contracts.enums import KernelMode, Role
from esper.contracts.library import KernelQuery
from esper.services.urza.routes.kernel_routes import KernelSearch
from support.urza_app import API, KERNEL_ID, Served, registration

PATH = f"{API}/kernels/{KERNEL_ID}"


@pytest.mark.asyncio
async def test_a_kernel_is_registered_once_and_read_with_its_revision(urza: Served) -> None:
    await urza.kernel()
    body = registration().model_dump(mode="json")
    again = await urza.call("POST", f"{API}/kernels/", role=Role.TRAINER, json=body)
    assert again.status_code == 200
    read = await urza.call("GET", PATH, role=Role.READER)
    assert read.status_code == 200
    assert read.headers["etag"] == f'"{read.json()["revision"]}"'
    assert read.json()["metadata"]["kernel_id"] == KERNEL_ID
    known = {"If-None-Match": read.headers["etag"]}
    assert (await urza.call("GET", PATH, headers=known)).status_code == 304


@pytest.mark.asyncio
async def test_a_kernel_whose_bytes_are_not_there_is_refused(urza: Served) -> None:
    body = registration().model_dump(mode="json")
    response = await urza.call("POST", f"{API}/kernels/", json=body)
    assert (response.status_code, response.json()["code"]) == (422, "SubmissionError")
    missing = await urza.call("GET", PATH)
    assert (missing.status_code, missing.json()["code"]) == (404, "KernelNotFoundError")


@pytest.mark.asyncio
async def test_bytes_that_are_no_kernel_are_refused(urza: Served) -> None:
    data = b"\x80\x04not a kernel"
    digest = hashlib.sha256(data).hexdigest()
    await urza.call("PUT", f"{API}/blobs/{digest}", content=data)
    body = registration(digest).model_dump(mode="json")
    response = await urza.call("POST", f"{API}/kernels/", json=body)
    assert (response.status_code, response.json()["code"]) == (422, "ArtifactError")


@pytest.mark.asyncio
async def test_a_move_needs_the_revision_that_it_is_based_on(urza: Served) -> None:
    await urza.kernel()
    path = f"{PATH}/transitions"
    move = {"event": "validate", "reason": "measured"}
    assert (await urza.call("POST", path, json=move)).status_code == 428
    stale = await urza.call("POST", path, json=move, headers={"If-Match": '"9"'})
    assert (stale.status_code, stale.json()["code"]) == (412, "RevisionConflictError")
    done = await urza.call("POST", path, json=move, headers={"If-Match": '"1"'})
    assert (done.status_code, done.json()["status"]) == (200, "validated")
    assert done.headers["etag"] == '"2"'
    illegal = await urza.call("POST", path, json=move, headers={"If-Match": '"2"'})
    assert (illegal.status_code, illegal.json()["code"]) == (409, "IllegalTransitionError")


@pytest.mark.asyncio
async def test_a_search_goes_by_what_fits_and_pages_through_it(urza: Served) -> None:
    ids = {await urza.kernel(kernels.kernel_file(seed=seed)) for seed in range(3)}
    conv = await urza.kernel(kernels.kernel_file(kernels.conv_graph()))
    found: list[str] = []
    params = {"input_shape": "4", "sort": "newest", "limit": "2"}
    while True:
        page = (await urza.call("GET", f"{API}/kernels/", params=params)).json()
        found += [item["metadata"]["kernel_id"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        params["cursor"] = page["next_cursor"]
    assert len(found) == 3
    assert set(found) == ids
    params = {"input_shape": "2,*"}
    page = (await urza.call("GET", f"{API}/kernels/", params=params)).json()
    assert [item["metadata"]["kernel_id"] for item in page["items"]] == [conv]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "params",
    [
        {"colour": "red"},
        {"limit": "0"},
        {"limit": "201"},
        {"sort": "beauty"},
        {"max_latency_us": "nan"},
        {"tag": "without-a-colon"},
        {"input_shape": "3x32x32"},
        {"cursor": "nonsense"},
    ],
)
async def test_a_search_for_what_there_cannot_be_is_refused(
    urza: Served, params: dict[str, str]
) -> None:
    response = await urza.call("GET", f"{API}/kernels/", params=params)
    assert response.status_code == 422
    assert response.json()["code"] == "SubmissionError"


def test_a_search_covers_every_field_of_a_query() -> None:
    own = set(KernelSearch.model_fields) - {"tag", "sort", "cursor", "limit"}
    assert own == set(KernelQuery.model_fields) - {"tags"}
    wanted = KernelSearch(host="linear", mode=KernelMode.RESIDUAL, tag=["task:a:b", "x:"])
    assert wanted.query() == KernelQuery(
        host="linear", mode=KernelMode.RESIDUAL, tags={"task": "a:b", "x": ""}
    )


@pytest.mark.asyncio
async def test_a_signature_is_added_once(urza: Served) -> None:
    await urza.kernel()
    signature = {"key_id": "0123456789abcdef", "value": "ab" * 64}
    for _ in range(2):
        response = await urza.call("POST", f"{PATH}/signatures", json=signature)
        assert response.status_code == 200
        assert response.json()["signatures"] == [signature]
        assert response.headers["etag"] == '"2"'


@pytest.mark.asyncio
async def test_lineage_and_reports_of_a_kernel_can_be_read(urza: Served) -> None:
    await urza.kernel()
    lineage = (await urza.call("GET", f"{PATH}/lineage")).json()
    assert lineage["kernel"]["metadata"]["kernel_id"] == KERNEL_ID
    assert (await urza.call("GET", f"{PATH}/field-reports")).json()["items"] == []
