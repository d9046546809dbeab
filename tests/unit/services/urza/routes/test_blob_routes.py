"""Blobs over HTTP: put once, read whole and in parts."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator

import pytest

from esper.contracts.enums import Role
from support.urza_app import API, Served

DATA = bytes(range(256)) * 40
DIGEST = hashlib.sha256(DATA).hexdigest()
PATH = f"{API}/blobs/{DIGEST}"


@pytest.mark.asyncio
async def test_bytes_come_back_as_they_were_put(urza: Served) -> None:
    first = await urza.call("PUT", PATH, role=Role.TRAINER, content=DATA)
    again = await urza.call("PUT", PATH, role=Role.COMPILER, content=DATA)
    assert (first.status_code, again.status_code) == (201, 200)
    read = await urza.call("GET", PATH, role=Role.READER)
    assert read.content == DATA
    assert read.headers["etag"] == f'"{DIGEST}"'
    assert "immutable" in read.headers["cache-control"]
    head = await urza.call("HEAD", PATH, role=Role.READER)
    assert head.headers["content-length"] == str(len(DATA))
    assert head.content == b""


@pytest.mark.asyncio
async def test_a_stream_without_an_announced_size_is_taken(urza: Served) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(DATA), 1000):
            yield DATA[start : start + 1000]

    assert (await urza.call("PUT", PATH, content=pieces())).status_code == 201
    assert (await urza.call("GET", PATH)).content == DATA


@pytest.mark.asyncio
async def test_bytes_under_a_wrong_digest_are_refused_and_not_kept(urza: Served) -> None:
    response = await urza.call("PUT", PATH, content=DATA + b"x")
    assert response.status_code == 422
    assert response.json()["code"] == "SubmissionError"
    assert (await urza.call("HEAD", PATH)).status_code == 404


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("header", "status", "expected", "content_range"),
    [
        ("bytes=0-9", 206, DATA[:10], f"bytes 0-9/{len(DATA)}"),
        ("bytes=10000-", 206, DATA[10000:], f"bytes 10000-{len(DATA) - 1}/{len(DATA)}"),
        ("bytes=-7", 206, DATA[-7:], f"bytes {len(DATA) - 7}-{len(DATA) - 1}/{len(DATA)}"),
        ("bytes=0-1,4-5", 200, DATA, None),
        ("nonsense", 200, DATA, None),
    ],
)
async def test_a_part_is_what_was_asked_for(
    urza: Served, header: str, status: int, expected: bytes, content_range: str | None
) -> None:
    await urza.call("PUT", PATH, content=DATA)
    part = await urza.call("GET", PATH, headers={"Range": header})
    assert (part.status_code, part.content) == (status, expected)
    assert part.headers.get("content-range") == content_range
    assert part.headers["content-length"] == str(len(expected))


@pytest.mark.asyncio
async def test_a_part_behind_the_end_is_refused(urza: Served) -> None:
    await urza.call("PUT", PATH, content=DATA)
    outside = await urza.call("GET", PATH, headers={"Range": f"bytes={len(DATA)}-"})
    assert outside.status_code == 416
    assert outside.headers["content-range"] == f"bytes */{len(DATA)}"


@pytest.mark.asyncio
async def test_a_part_of_other_bytes_than_the_reader_has_is_not_sent(urza: Served) -> None:
    await urza.call("PUT", PATH, content=DATA)
    headers = {"Range": "bytes=0-9", "If-Range": '"another"'}
    assert (await urza.call("GET", PATH, headers=headers)).content == DATA
    headers["If-Range"] = f'"{DIGEST}"'
    assert (await urza.call("GET", PATH, headers=headers)).content == DATA[:10]


@pytest.mark.asyncio
async def test_a_reader_who_has_the_bytes_is_told_so_while_they_are_stored(urza: Served) -> None:
    known = {"If-None-Match": f'"{DIGEST}"'}
    assert (await urza.call("GET", PATH, headers=known)).status_code == 404
    await urza.call("PUT", PATH, content=DATA)
    again = await urza.call("GET", PATH, headers=known)
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.asyncio
async def test_an_empty_blob_is_a_blob(urza: Served) -> None:
    path = f"{API}/blobs/{hashlib.sha256(b'').hexdigest()}"
    assert (await urza.call("PUT", path, content=b"")).status_code == 201
    empty = await urza.call("GET", path)
    assert (empty.status_code, empty.content) == (200, b"")
