from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from esper.dashboard.live import news
from esper.services.nissa.run_store import RunStore
from esper.utils.clock import SystemClock
from support import told_runs
from support.run_deliveries import delivery, read

SECONDS = {"poll_seconds": 0.01, "tick_seconds": 1_000.0, "stream_seconds": 1_000.0}


async def stream(
    store: RunStore, *, stop: list[bool], **seconds: float
) -> AsyncIterator[list[str] | None]:
    told = news(store, clock=SystemClock(), stopping=lambda: bool(stop), **{**SECONDS, **seconds})
    async for event in told:
        if event.startswith("data:"):
            yield json.loads(event.removeprefix("data:"))["runs"]


@pytest.mark.asyncio
async def test_news_name_the_runs_that_have_new_lines(tmp_path: Path) -> None:
    store = await RunStore.open(f"sqlite:///{tmp_path / 'runs.db'}")
    stop: list[bool] = []
    heard: asyncio.Queue[list[str] | None] = asyncio.Queue()

    async def listen() -> None:
        async for runs in stream(store, stop=stop):
            heard.put_nowait(runs)

    async with asyncio.TaskGroup() as group:
        group.create_task(listen())
        assert await heard.get() is None
        await store.append(read([delivery([told_runs.start()], run_id="run-1")]))
        assert await heard.get() == ["run-1"]
        both = [delivery([told_runs.start()], run_id=run) for run in ("run-3", "run-2")]
        await store.append(read(both))
        assert await heard.get() == ["run-2", "run-3"]
        stop.append(True)
    await store.close()


@pytest.mark.asyncio
async def test_a_page_is_told_to_look_again_now_and_then(tmp_path: Path) -> None:
    store = await RunStore.open(f"sqlite:///{tmp_path / 'runs.db'}")
    told = stream(store, stop=[], tick_seconds=0.02, stream_seconds=0.5)
    events = [event async for event in told]
    assert len(events) > 1
    await store.close()


@pytest.mark.asyncio
async def test_a_stream_ends_by_itself_and_at_once_when_the_server_does(tmp_path: Path) -> None:
    store = await RunStore.open(f"sqlite:///{tmp_path / 'runs.db'}")
    assert len([event async for event in stream(store, stop=[], stream_seconds=1e-9)]) == 1
    assert len([event async for event in stream(store, stop=[True])]) == 1
    await store.close()
