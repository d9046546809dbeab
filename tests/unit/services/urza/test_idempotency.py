"""Idempotency keys: a request that comes twice is carried out once."""

from __future__ import annotations

import asyncio

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message

from esper.contracts.enums import Role
from support.urza_app import API, Served, blueprint

LEASES = f"{API}/internal/leases"
ASK = {"worker": "w1", "seconds": 60}
KEY = {"Idempotency-Key": "first"}


async def _bodiless() -> Message:
    return {"type": "http.request", "body": b""}


async def _submitted(urza: Served, *ids: str) -> None:
    for blueprint_id in ids:
        body = blueprint(blueprint_id).model_dump(mode="json")
        assert (await urza.call("POST", f"{API}/blueprints/", json=body)).status_code == 201


@pytest.mark.asyncio
async def test_a_lease_whose_answer_was_lost_is_given_again_not_another(urza: Served) -> None:
    await _submitted(urza, "bp-1", "bp-2")
    first = await urza.call("POST", LEASES, role=Role.COMPILER, json=ASK, headers=KEY)
    again = await urza.call("POST", LEASES, role=Role.COMPILER, json=ASK, headers=KEY)
    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["content-type"] == first.headers["content-type"]
    other = await urza.call("POST", LEASES, role=Role.ADMIN, json=ASK, headers=KEY)
    assert other.json()["blueprint"] != first.json()["blueprint"], "another caller's key"


@pytest.mark.asyncio
async def test_repetitions_that_overtake_the_first_wait_for_it(urza: Served) -> None:
    await _submitted(urza, "bp-1", "bp-2", "bp-3")
    answers = await asyncio.gather(
        *(urza.call("POST", LEASES, json=ASK, headers=KEY) for _ in range(3))
    )
    assert len({answer.content for answer in answers}) == 1
    assert not urza.library.idempotency._turns, "nothing is remembered of a turn that is over"


@pytest.mark.asyncio
async def test_those_with_one_key_take_turns_and_others_do_not_wait(urza: Served) -> None:
    seen: list[str] = []
    others = asyncio.Event()

    async def work(key: str) -> None:
        async def handler(_request: Request) -> Response:
            seen.append(f"{key} in")
            if key == "a":
                await others.wait()
            else:
                others.set()
            seen.append(f"{key} out")
            return Response(status_code=404)

        scope = {"type": "http", "path": "/", "query_string": b"", "method": "POST"}
        headers = [(b"idempotency-key", key.encode())]
        await urza.library.idempotency.once(
            Request({**scope, "headers": headers}, _bodiless), handler, "route", "bob"
        )

    await asyncio.gather(work("a"), work("a"), work("b"))
    assert [entry for entry in seen if entry.startswith("a")] == ["a in", "a out", "a in", "a out"]
    assert seen.index("b in") < seen.index("a out")


@pytest.mark.asyncio
async def test_a_key_that_belongs_to_another_request_is_refused(urza: Served) -> None:
    await _submitted(urza, "bp-1")
    await urza.call("POST", LEASES, json=ASK, headers=KEY)
    response = await urza.call("POST", LEASES, json={**ASK, "worker": "w2"}, headers=KEY)
    assert (response.status_code, response.json()["code"]) == (422, "SubmissionError")


@pytest.mark.asyncio
async def test_a_refusal_is_not_kept(urza: Served) -> None:
    body = blueprint().model_dump(mode="json")
    path = f"{API}/blueprints/bp-1/transitions"
    move = {"event": "archive"}
    headers = {**KEY, "If-Match": '"1"'}
    assert (await urza.call("POST", path, json=move, headers=headers)).status_code == 404
    await urza.call("POST", f"{API}/blueprints/", json=body)
    for _ in range(2):
        assert (await urza.call("POST", path, json=move, headers=headers)).status_code == 200


@pytest.mark.asyncio
async def test_a_token_is_issued_once_for_a_key_and_its_secret_shown_once(urza: Served) -> None:
    wanted = {"name": "x", "roles": ["reader"]}
    first = await urza.call("POST", f"{API}/tokens/", json=wanted, headers=KEY)
    assert first.status_code == 201
    again = await urza.call("POST", f"{API}/tokens/", json=wanted, headers=KEY)
    assert again.status_code == 409
    assert first.json()["secret"] not in again.text
    names = [item["name"] for item in (await urza.call("GET", f"{API}/tokens/")).json()["items"]]
    assert names.count("x") == 1


@pytest.mark.asyncio
@pytest.mark.parametrize("key", ["", "k" * 256])
async def test_a_key_that_is_none_is_refused(urza: Served, key: str) -> None:
    headers = {"Idempotency-Key": key}
    response = await urza.call("POST", LEASES, json=ASK, headers=headers)
    assert response.status_code == 422
