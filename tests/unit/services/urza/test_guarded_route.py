"""The guard: rates, sizes, and what of a secret may be seen."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from esper.contracts.enums import Role
from esper.services.urza import guarded_route as guard
from support.urza_app import API, KERNEL_ID, blueprint, served


@pytest.mark.asyncio
async def test_too_many_requests_of_one_token_are_refused_and_others_are_not(
    tmp_path: Path,
) -> None:
    async with served(tmp_path, rate_per_second=0.001, rate_burst=3) as urza:
        mine = [await urza.call("GET", "/metrics", role=Role.READER) for _ in range(4)]
        assert [response.status_code for response in mine] == [200, 200, 200, 429]
        assert int(mine[-1].headers["retry-after"]) > 1
        assert mine[-1].json()["code"] == "LibraryUnavailableError"
        assert (await urza.call("GET", "/metrics", role=Role.TRAINER)).status_code == 200


@pytest.mark.asyncio
async def test_whoever_guesses_tokens_is_slowed_down(tmp_path: Path) -> None:
    async with served(tmp_path, rate_per_second=0.001, rate_burst=2) as urza:
        statuses = [
            (
                await urza.client.get("/metrics", headers={"Authorization": f"Bearer {guess}"})
            ).status_code
            for guess in "abc"
        ]
        assert statuses == [401, 401, 429]
        assert (await urza.client.get("/livez")).status_code == 200


@pytest.mark.asyncio
async def test_a_body_over_the_limit_is_refused_announced_or_not(tmp_path: Path) -> None:
    async def streamed() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"x" * 50

    async with served(tmp_path, max_body_bytes=100) as urza:
        for content in (b"x" * 101, streamed()):
            for method, path in (
                ("PUT", f"{API}/blobs/{KERNEL_ID}"),
                ("POST", f"{API}/kernels/"),
            ):
                body = streamed() if not isinstance(content, bytes) else content
                response = await urza.call(method, path, content=body)
                assert response.status_code == 413, response.text
                assert response.json()["code"] == "SubmissionError"
        assert await urza.library.blobs.size(KERNEL_ID) is None


@pytest.mark.asyncio
async def test_a_record_may_not_be_as_large_as_a_blob(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "MOST_RECORD_BYTES", 100)
    async with served(tmp_path) as urza:
        response = await urza.call("POST", f"{API}/kernels/", content=b"x" * 101)
        assert response.status_code == 413
        response = await urza.call("PUT", f"{API}/blobs/{KERNEL_ID}", content=b"x" * 101)
        assert response.status_code == 422


@pytest.mark.asyncio
async def test_a_revoked_token_opens_nothing_from_the_next_request_on(tmp_path: Path) -> None:
    async with served(tmp_path) as urza:
        issued = await urza.call("POST", f"{API}/tokens/", json={"name": "x", "roles": ["reader"]})
        assert issued.status_code == 201
        assert issued.headers["cache-control"] == "no-store"
        headers = {"Authorization": f"Bearer {issued.json()['secret']}"}
        assert (await urza.client.get("/metrics", headers=headers)).status_code == 200
        path = f"{API}/tokens/{issued.json()['record']['token_id']}"
        for _ in range(2):
            assert (await urza.call("DELETE", path)).status_code == 204
        assert (await urza.client.get("/metrics", headers=headers)).status_code == 401


@pytest.mark.asyncio
async def test_secrets_are_in_no_log_no_problem_and_no_list(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with served(tmp_path) as urza:
        secrets = list(urza.secrets.values())
        seen = [(await urza.call("GET", f"{API}/tokens/")).text]
        for role in Role:
            body = blueprint().model_dump_json()
            seen += [
                (await urza.call("POST", f"{API}/blueprints/", role=role, content=body)).text,
                (await urza.call("GET", f"{API}/audit/", role=role)).text,
                (await urza.call("GET", "/metrics", role=role)).text,
            ]
        wrong = {"Authorization": f"Basic {secrets[0]}"}
        seen.append((await urza.client.get("/metrics", headers=wrong)).text)
        tampered = {"Authorization": f"Bearer {secrets[0]}x"}
        seen.append((await urza.client.get("/metrics", headers=tampered)).text)
        # A secret that slipped into a field is not sent back.
        slipped = {"name": secrets[0], "roles": ["reader"], "days": -1}
        seen.append((await urza.call("POST", f"{API}/tokens/", json=slipped)).text)
        seen.append(repr(urza.app.state.urza.config))
    seen.append(caplog.text)
    for secret in secrets:
        assert all(secret not in text for text in seen)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "body",
    [
        b'{"dry_run": 0}',
        b'{"dry_run": "true"}',
        b'{"grace_seconds": "1"}',
        b'{"grace_seconds": NaN}',
        b"",
        b"[]",
        b"\xff\xfe",
        b'{"dry_run": true',
    ],
)
async def test_a_body_is_taken_to_the_letter(tmp_path: Path, body: bytes) -> None:
    async with served(tmp_path) as urza:
        response = await urza.call("POST", f"{API}/garbage-collections/", content=body)
        assert response.status_code == 422, response.text
        assert response.json()["faults"][0]["where"].startswith("body")
        right = await urza.call("POST", f"{API}/garbage-collections/", json={"grace_seconds": 1})
        assert right.status_code == 200, right.text
