"""The news for open pages, as server-sent events: which runs have something new, not what."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence

from esper.contracts.errors import RunStoreError
from esper.contracts.ports import Clock
from esper.services.nissa.run_store import RunStore
from esper.utils.logging import get_logger

_RECONNECT_MS = 300

_log = get_logger("dashboard")


async def news(
    store: RunStore,
    *,
    clock: Clock,
    stopping: Callable[[], bool],
    poll_seconds: float = 0.2,
    tick_seconds: float = 2.0,
    stream_seconds: float = 20.0,
) -> AsyncIterator[str]:
    """Yield an event whenever the store has new lines, and now and then without any.

    An event names the runs that have new lines; where it names none, every page is to look again:
    health and alerts are no lines.

    Args:
        store: Where lines come in.
        clock: Tells the time.
        stopping: Whether the server is about to end.
        poll_seconds: Time between two looks at the store.
        tick_seconds: Time between two events that come even if there is no new line.
        stream_seconds: How long the stream lasts; the browser opens the next by itself. Short
            streams let a server end soon.
    """
    yield f"retry: {_RECONNECT_MS}\n\n"
    end = clock.monotonic() + stream_seconds
    said = clock.monotonic()
    try:
        cursor = await store.newest_cursor()
        yield _event(None)
        while clock.monotonic() < end and not stopping():
            await asyncio.sleep(poll_seconds)
            newest = await store.newest_cursor()
            if newest > cursor:
                yield _event(await store.changed_runs(cursor))
                cursor = newest
            if clock.monotonic() - said >= tick_seconds:
                said = clock.monotonic()
                yield _event(None)
    except RunStoreError as error:
        # The page's next request says what is wrong; the browser opens this stream again.
        _log.warning("dashboard_stream_ended", error=str(error))


def _event(runs: Sequence[str] | None) -> str:
    return f"data: {json.dumps({'runs': runs})}\n\n"
