"""The news for an open page, as server-sent events: that there is something new, not what."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from esper.contracts.errors import RunStoreError
from esper.contracts.ports import Clock
from esper.dashboard.dashboard_config import DashboardConfig
from esper.services.nissa.run_store import RunStore
from esper.utils.logging import get_logger

_RECONNECT_MS = 300

_log = get_logger("dashboard")


async def news(
    store: RunStore,
    run_id: str | None,
    *,
    config: DashboardConfig,
    clock: Clock,
    stopping: Callable[[], bool],
) -> AsyncIterator[str]:
    """Yield an event whenever the store has new lines, and now and then without any.

    Args:
        store: Where lines come in.
        run_id: Only lines of this run count; None: those of all runs.
        config: How often to look, and when to end.
        clock: Tells the time.
        stopping: Whether the server is about to end.
    """
    yield f"retry: {_RECONNECT_MS}\n\n"
    end = clock.monotonic() + config.stream_seconds
    said = clock.monotonic()
    try:
        cursor = await store.newest_cursor()
        yield _event(cursor)
        while clock.monotonic() < end and not stopping():
            await asyncio.sleep(config.poll_seconds)
            newest = await store.newest_cursor()
            fresh = newest > cursor and await _concerned(store, run_id, cursor)
            cursor = newest
            if fresh or clock.monotonic() - said >= config.tick_seconds:
                said = clock.monotonic()
                yield _event(newest)
    except RunStoreError as error:
        # The page's next request says what is wrong; the browser opens this stream again.
        _log.warning("dashboard_stream_ended", error=str(error))


async def _concerned(store: RunStore, run_id: str | None, after: int) -> bool:
    return run_id is None or bool(await store.lines(run_id, after=after, limit=1))


def _event(cursor: int) -> str:
    return f"data: {cursor}\n\n"
