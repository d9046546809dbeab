"""Work for the forge over HTTP: the whole life of a lease."""

from __future__ import annotations

import hashlib

import pytest

from esper.contracts.enums import Role
from support.urza_app import API, FILE, KERNEL_ID, Served, blueprint, registration, report

LEASES = f"{API}/internal/leases"
ASK = {"worker": "w1", "seconds": 60}


async def _submitted(urza: Served) -> None:
    body = blueprint().model_dump(mode="json")
    assert (await urza.call("POST", f"{API}/blueprints/", json=body)).status_code == 201


@pytest.mark.asyncio
async def test_where_nothing_waits_there_is_no_lease(urza: Served) -> None:
    response = await urza.call("POST", LEASES, role=Role.COMPILER, json=ASK)
    assert (response.status_code, response.content) == (204, b"")


@pytest.mark.asyncio
async def test_a_blueprint_is_leased_renewed_and_completed_with_its_kernel(urza: Served) -> None:
    await _submitted(urza)
    waiting = await urza.call("GET", f"{API}/internal/unvalidated-blueprints", role=Role.COMPILER)
    assert len(waiting.json()["items"]) == 1
    lease = await urza.call("POST", LEASES, role=Role.COMPILER, json=ASK)
    assert lease.status_code == 201
    token = lease.json()["token"]
    path = f"{LEASES}/bp-1"
    renewed = await urza.call("POST", f"{path}/renew", json={"token": token, "seconds": 90})
    assert renewed.json()["expires_at"] > lease.json()["expires_at"]
    done = {
        "token": token,
        "registration": registration(blueprint_id="bp-1").model_dump(mode="json"),
        "report": report().model_dump(mode="json"),
    }
    early = await urza.call("POST", f"{path}/complete", role=Role.COMPILER, json=done)
    assert early.status_code == 422, "its bytes are not there yet"
    assert hashlib.sha256(FILE).hexdigest() == KERNEL_ID
    await urza.call("PUT", f"{API}/blobs/{KERNEL_ID}", role=Role.COMPILER, content=FILE)
    for _ in range(2):
        complete = await urza.call("POST", f"{path}/complete", role=Role.COMPILER, json=done)
        assert complete.status_code == 200, complete.text
        assert complete.json()["status"] == "validated"
    record = (await urza.call("GET", f"{API}/blueprints/bp-1")).json()
    assert record["blueprint"]["state"] == "validated"
    assert record["kernels"] == [KERNEL_ID]


@pytest.mark.asyncio
async def test_an_old_token_is_refused(urza: Served) -> None:
    await _submitted(urza)
    token = (await urza.call("POST", LEASES, json=ASK)).json()["token"]
    failure = {"token": token, "reason": "no memory", "retry": True}
    failed = await urza.call("POST", f"{LEASES}/bp-1/fail", role=Role.COMPILER, json=failure)
    assert failed.json()["blueprint"]["state"] == "unvalidated"
    await urza.call("POST", LEASES, json={**ASK, "worker": "w2"})
    stale = {"token": token, "seconds": 60}
    response = await urza.call("POST", f"{LEASES}/bp-1/renew", json=stale)
    assert (response.status_code, response.json()["code"]) == (409, "LeaseLostError")


@pytest.mark.asyncio
@pytest.mark.parametrize("seconds", ["0", "-1", "86400", "NaN"])
async def test_a_lease_of_no_time_or_of_days_is_refused(urza: Served, seconds: str) -> None:
    await _submitted(urza)
    for path, who in ((LEASES, '"worker": "w"'), (f"{LEASES}/bp-1/renew", '"token": 1')):
        content = f'{{{who}, "seconds": {seconds}}}'
        response = await urza.call("POST", path, content=content)
        assert (response.status_code, response.json()["code"]) == (422, "SubmissionError")
