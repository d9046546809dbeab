from __future__ import annotations

import httpx
import pytest
from fastapi import APIRouter, FastAPI, Request

from esper.web.problems import LIBRARY_CODES, PLATFORM_CODES, ProblemCodes, add_refusals


def app(codes: ProblemCodes) -> FastAPI:
    made = FastAPI()

    @made.get("/where")
    async def where(request: Request, number: int = 0) -> str:
        return str(request.url)

    router = APIRouter(prefix="/part")

    @router.put("/where")
    async def put_where() -> None:
        return None

    made.include_router(router)
    add_refusals(made, codes)
    return made


async def get(codes: ProblemCodes, path: str, hosts: list[bytes]) -> httpx.Response:
    transport = httpx.ASGITransport(app(codes))
    async with httpx.AsyncClient(transport=transport, base_url="http://a") as client:
        request = client.build_request("GET", path)
        raw = [pair for pair in request.headers.raw if pair[0].lower() != b"host"]
        request.headers = httpx.Headers([*raw, *((b"host", host) for host in hosts)])
        return await client.send(request)


@pytest.mark.asyncio
@pytest.mark.parametrize("hosts", [[b"[::1"], [b"a b"], [b""], [], [b"a", b"b"], [b"\xff"]])
async def test_a_host_that_cannot_be_read_is_a_bad_request(hosts: list[bytes]) -> None:
    answer = await get(PLATFORM_CODES, "/where", hosts)
    assert answer.status_code == 400
    assert "Host header" in answer.json()["detail"]


@pytest.mark.asyncio
async def test_a_host_that_can_be_read_passes() -> None:
    answer = await get(PLATFORM_CODES, "/where", [b"[::1]:80"])
    assert answer.json() == "http://[::1]:80/where"


@pytest.mark.asyncio
@pytest.mark.parametrize("path", ["/nowhere", "/where?number=x"])
async def test_only_a_library_calls_its_problems_a_library_s(path: str) -> None:
    library = (await get(LIBRARY_CODES, path, [b"a"])).json()
    assert library["code"] in {"LibraryNotFoundError", "SubmissionError"}
    other = (await get(PLATFORM_CODES, path, [b"a"])).json()
    assert other["code"] == "PlatformError"
    assert "library" not in str(other).lower()


@pytest.mark.asyncio
async def test_a_path_that_is_not_there_is_named_and_where_to_look() -> None:
    detail = (await get(PLATFORM_CODES, "/nowhere", [b"a"])).json()["detail"]
    assert "'/nowhere'" in detail
    assert "/openapi.json" in detail


@pytest.mark.asyncio
async def test_a_wrong_method_is_told_the_right_ones_in_an_included_router_too() -> None:
    answer = await get(PLATFORM_CODES, "/part/where", [b"a"])
    assert answer.status_code == 405
    assert answer.headers["allow"] == "PUT"
