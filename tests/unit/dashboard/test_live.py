from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from esper.dashboard.dashboard_config import DashboardConfig
from esper.dashboard.live import news
from esper.services.nissa.run_store import RunStore
from esper.utils.clock import SystemClock
from support import told_runs
from support.run_deliveries import delivery, read

CONFIG = DashboardConfig(poll_seconds=0.01, tick_seconds=1_000, stream_seconds=1_000)


async def stream(
    store: RunStore, run_id: str | None, config: DashboardConfig = CONFIG, *, stop: list[bool]
) -> AsyncIterator[str]:
    told = news(store, run_id, config=config, clock=SystemClock(), stopping=lambda: bool(stop))
    async for event in told:
        if event.startswith("data:"):
            yield event


@pytest.mark.asyncio
async def test_a_new_line_is_news_for_its_run_and_for_the_list_only(tmp_path: Path) -> None:
    store = await RunStore.open(f"sqlite:///{tmp_path / 'runs.db'}")
    stop: list[bool] = []
    heard: dict[str | None, asyncio.Queue[str]] = {
        "run-1": asyncio.Queue(),
        "run-2": asyncio.Queue(),
        None: asyncio.Queue(),
    }

    async def listen(run_id: str | None) -> None:
        async for event in stream(store, run_id, stop=stop):
            heard[run_id].put_nowait(event)

    async with asyncio.TaskGroup() as group:
        for run_id in heard:
            group.create_task(listen(run_id))
        for said in heard.values():
            await said.get()
        await store.append(read([delivery([told_runs.start()], run_id="run-1")]))
        assert await heard["run-1"].get() == await heard[None].get()
        stop.append(True)
    assert heard["run-2"].empty()
    await store.close()


@pytest.mark.asyncio
async def test_a_page_is_told_to_look_again_now_and_then(tmp_path: Path) -> None:
    store = await RunStore.open(f"sqlite:///{tmp_path / 'runs.db'}")
    config = DashboardConfig(poll_seconds=0.01, tick_seconds=0.02, stream_seconds=0.5)
    events = [event async for event in stream(store, None, config, stop=[])]
    assert len(events) > 1
    await store.close()


@pytest.mark.asyncio
async def test_a_stream_ends_by_itself_and_at_once_when_the_server_does(tmp_path: Path) -> None:
    store = await RunStore.open(f"sqlite:///{tmp_path / 'runs.db'}")
    config = DashboardConfig(poll_seconds=0.01, tick_seconds=1_000, stream_seconds=0.0)
    assert len([event async for event in stream(store, None, config, stop=[])]) == 1
    assert len([event async for event in stream(store, None, stop=[True])]) == 1
    await store.close()
