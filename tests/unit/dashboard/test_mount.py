from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI

from esper.dashboard.mount import mount
from esper.dashboard.pages import PARTS
from esper.services.nissa.run_store import RunStore
from support import told_runs
from support.run_deliveries import delivery, read

LINES = [
    told_runs.start(),
    *told_runs.race_lines(),
    *told_runs.decided(),
    *told_runs.graft_lines(),
    *told_runs.fossil_lines(),
    *told_runs.end_lines(),
]


@pytest_asyncio.fixture
async def browser(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    store = await RunStore.open(f"sqlite:///{tmp_path / 'runs.db'}")
    await store.append(read([delivery(LINES)]))
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    mount(app, store)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client
    await store.close()


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("/", 200),
        ("/?page=2&text=mnist", 200),
        ("/?page=nonsense", 200),
        ("/runs/newest", 200),
        ("/runs/run-1?slot=0%230&figure=loss", 200),
        ("/runs/run-1?slot=no-such-slot&figure=none", 200),
        ("/runs/no-such-run", 404),
        ("/compare?run=run-1&run=run-1", 200),
        ("/compare?run=no-such-run", 404),
        ("/kernels", 200),
        ("/kernels/no-such-kernel", 404),
        ("/platform", 200),
        ("/alerts", 200),
        ("/runs/run-1?span=100-2000", 200),
        ("/runs/run-1?span=nonsense", 200),
        ("/runbook", 200),
        ("/data/runs/run-1/health?layer=0", 200),
        ("/assets/style.css", 200),
        ("/assets/dashboard.js", 200),
        ("/assets/chart.js", 200),
        ("/assets/news.js", 200),
        ("/no-such-page", 404),
    ],
)
async def test_every_address_answers(browser: httpx.AsyncClient, address: str, status: int) -> None:
    assert (await browser.get(address)).status_code == status


@pytest.mark.asyncio
async def test_an_unknown_address_is_a_page_for_browsers_and_a_refusal_for_programs(
    browser: httpx.AsyncClient,
) -> None:
    page = await browser.get("/no-such-page", headers={"Accept": "text/html"})
    assert page.status_code == 404
    assert 'href="/"' in page.text
    assert "no page is at /no-such-page" in page.text
    plain = await browser.get("/no-such-page")
    assert plain.status_code == 404
    assert "<html" not in plain.text


@pytest.mark.asyncio
async def test_an_alert_that_is_not_there_cannot_be_acknowledged(
    browser: httpx.AsyncClient,
) -> None:
    assert (await browser.post("/alerts/none/acknowledgement")).status_code == 404
    assert (await browser.get("/alerts/none/acknowledgement")).status_code == 405


@pytest.mark.asyncio
async def test_pages_forbid_the_browser_to_load_or_send_anything_elsewhere(
    browser: httpx.AsyncClient,
) -> None:
    for address in ("/", "/runs/newest", "/runs/no-such-run"):
        policy = (await browser.get(address)).headers["content-security-policy"]
        assert policy.startswith("default-src 'self';")
        assert "unsafe-eval" not in policy


@pytest.mark.asyncio
async def test_a_part_that_is_asked_for_is_all_that_is_filled(browser: httpx.AsyncClient) -> None:
    address = "/runs/newest?slot=0%230"
    whole = (await browser.get(address)).text
    part = (await browser.get(address, headers={PARTS: "slot"})).text
    assert "Its life" in part
    assert "Its life" in whole
    assert "The model's layers" in part
    assert 'class="network' in whole
    assert 'class="network' not in part
    assert len(part) < len(whole) / 2
