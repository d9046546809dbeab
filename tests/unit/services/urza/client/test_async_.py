"""The awaited client has the waiting one's methods, and its loop works the same."""

from __future__ import annotations

import inspect

import pytest

from esper.contracts import errors
from esper.contracts.library import GarbageReport
from esper.services.urza.client.async_ import AsyncUrzaClient
from esper.services.urza.client.http_wire import digest_of
from esper.services.urza.client.sync import UrzaClient
from support.scripted_http import Reply, scripted_server

METHODS = [
    name
    for name, _ in inspect.getmembers(UrzaClient, inspect.isfunction)
    if not name.startswith("_")
]


@pytest.mark.parametrize("name", METHODS)
def test_a_method_has_the_same_parameters_awaited_or_not(name: str) -> None:
    waiting, awaited = getattr(UrzaClient, name), getattr(AsyncUrzaClient, name)
    assert inspect.iscoroutinefunction(awaited)
    assert inspect.signature(waiting) == inspect.signature(awaited)


def test_there_are_no_methods_that_only_one_has() -> None:
    both = [
        {n for n in vars(kind) if not n.startswith("_")} for kind in (UrzaClient, AsyncUrzaClient)
    ]
    assert both[0] == both[1]


@pytest.mark.asyncio
async def test_a_call_is_repeated_with_the_same_key() -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    report = GarbageReport(blobs=1, bytes=2)
    with scripted_server() as server:
        server.replies += [
            Reply(503, headers={"retry-after": "1"}),
            Reply(hang_up=True),
            Reply(200, report.model_dump_json().encode()),
        ]
        async with AsyncUrzaClient(server.url, draw=lambda: 0.0, sleep=sleep) as client:
            assert await client.collect_garbage(grace_seconds=1) == report
        assert len({request.headers["idempotency-key"] for request in server.received}) == 1
    assert pauses == [1.0, 0.0]


@pytest.mark.asyncio
async def test_bytes_are_checked_and_what_is_missing_is_the_port_s_own_error() -> None:
    with scripted_server() as server:
        server.replies += [Reply(200, b"data"), Reply(200, b"data"), Reply(404), Reply(404)]
        async with AsyncUrzaClient(server.url) as client:
            assert await client.afetch(digest_of(b"data")) == b"data"
            with pytest.raises(errors.ArtifactError):
                await client.fetch("0" * 64)
            with pytest.raises(errors.KernelNotFoundError):
                await client.fetch("0" * 64)
            assert await client.blob_size("0" * 64) is None
