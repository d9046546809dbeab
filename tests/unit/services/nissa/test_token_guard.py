"""Who may pass: this machine's own callers, or whoever shows the token."""

from __future__ import annotations

import pytest

from esper.services.nissa import token_guard as guard
from esper.services.nissa.nissa_config import NissaConfig
from esper.services.nissa.run_store import RunStore
from support.nissa_app import caller

TOKEN = "a-token-that-is-long-enough"
SECURED = NissaConfig(host="0.0.0.0", token=TOKEN)
ELSEWHERE = "http://nissa.example.org"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "_WRONG_SECONDS", 0.0)


@pytest.mark.asyncio
@pytest.mark.parametrize("name", ["127.0.0.1:8430", "localhost", "[::1]:8430"])
async def test_without_a_token_this_machine_is_answered_under_its_own_names(
    runs: RunStore, name: str
) -> None:
    async with caller(runs, url=f"http://{name}") as client:
        assert (await client.get("/health")).status_code == 200


@pytest.mark.asyncio
async def test_a_page_that_points_its_own_name_here_learns_nothing(runs: RunStore) -> None:
    async with caller(runs, url="http://evil.example.org") as client:
        answer = await client.get("/api/v1/runs")
        assert answer.status_code == 403
        assert "127.0.0.1" in answer.json()["detail"]
        assert (await client.get("/livez")).status_code == 200


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("site", "status"), [("cross-site", 403), ("same-site", 403), ("same-origin", 404)]
)
async def test_a_page_of_another_site_changes_nothing(
    runs: RunStore, site: str, status: int
) -> None:
    async with caller(runs) as client:
        answer = await client.post(
            "/api/v1/alerts/a/acknowledgement", json={"by": "x"}, headers={"Sec-Fetch-Site": site}
        )
        assert answer.status_code == status
        seen = await client.get("/api/v1/alerts", headers={"Sec-Fetch-Site": site})
        assert seen.status_code == 200


@pytest.mark.asyncio
async def test_with_a_token_only_probes_are_open(runs: RunStore) -> None:
    async with caller(runs, SECURED, url=ELSEWHERE) as client:
        assert (await client.get("/readyz")).status_code == 200
        for path in ("/health", "/metrics", "/api/v1/runs", "/openapi.json", "/nowhere"):
            answer = await client.get(path)
            assert answer.status_code == 401, path
            assert answer.headers["www-authenticate"] == "Bearer"
        headers = {"Authorization": f"Bearer {TOKEN}"}
        assert (await client.get("/metrics", headers=headers)).status_code == 200
        for wrong in (f"Bearer {TOKEN}x", f"Basic {TOKEN}", "Bearer ", "Bearer käse"):
            refused = await client.get("/metrics", headers=[(b"Authorization", wrong.encode())])
            assert refused.status_code == 401, wrong


@pytest.mark.asyncio
async def test_a_browser_is_asked_once_and_comes_back_to_where_it_was(runs: RunStore) -> None:
    async with caller(runs, SECURED, url=ELSEWHERE) as client:
        sent = await client.get("/runs/abc", headers={"Accept": "text/html"})
        assert (sent.status_code, sent.headers["location"]) == (303, "/login?next=/runs/abc")
        assert "password" in (await client.get("/login")).text
        wrong = await client.post("/login", data={"token": "something else"})
        assert (wrong.status_code, "set-cookie" in wrong.headers) == (401, False)
        right = await client.post("/login?next=/runs/abc", data={"token": TOKEN})
        assert (right.status_code, right.headers["location"]) == (303, "/runs/abc")
        cookie = right.headers["set-cookie"]
        assert TOKEN not in cookie
        assert "HttpOnly" in cookie
        assert "samesite=strict" in cookie.lower()
        assert (await client.get("/api/v1/runs")).status_code == 200


@pytest.mark.asyncio
async def test_a_new_token_makes_cookies_worthless(runs: RunStore) -> None:
    async with caller(runs, SECURED, url=ELSEWHERE) as client:
        await client.post("/login", data={"token": TOKEN})
        cookies = dict(client.cookies)
    changed = NissaConfig(host="0.0.0.0", token=TOKEN + "!")
    async with caller(runs, changed, url=ELSEWHERE) as client:
        client.cookies.update(cookies)
        assert (await client.get("/api/v1/runs")).status_code == 401


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "place", ["https://evil.example.org/", "//evil.example.org", "/\\evil.example.org", "evil"]
)
async def test_a_link_cannot_send_whoever_signs_in_elsewhere(runs: RunStore, place: str) -> None:
    async with caller(runs, SECURED, url=ELSEWHERE) as client:
        answer = await client.post("/login", params={"next": place}, data={"token": TOKEN})
        assert answer.headers["location"] == "/"


@pytest.mark.asyncio
async def test_a_form_that_is_too_large_is_not_read(runs: RunStore) -> None:
    async with caller(runs, SECURED, url=ELSEWHERE) as client:
        answer = await client.post("/login", data={"token": TOKEN, "rest": "x" * 10_000})
        assert answer.status_code == 401
