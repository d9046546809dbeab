"""The stream: a run's new lines as server-sent events, as soon as the store has them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Query
from starlette.exceptions import HTTPException
from starlette.responses import StreamingResponse

from esper.services.nissa.nissa_state import NissaState, StateDep
from esper.web.problems import documented

STREAM: Final = APIRouter(prefix="/api/v1", tags=["runs"], responses=documented(404, 422))

_EVENTS: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "`line` events with a StoredLine each; without a run `head` events.",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
}
_POLL_SECONDS: Final = 0.25
_QUIET_POLLS: Final = 60
"""Polls without anything new, after which a comment keeps the connection open."""
_MOST: Final = 100
"""Streams at once."""
_PAGE: Final = 500
_LARGEST: Final = 1 << 62


@STREAM.get("/stream", response_class=StreamingResponse, responses=_EVENTS)
async def stream(
    state: StateDep,
    run: str | None = None,
    after: Annotated[
        int | None, Query(ge=-1, le=_LARGEST, description="Cursor that is known; default: now.")
    ] = None,
    last_event_id: Annotated[int | None, Header(ge=-1, le=_LARGEST)] = None,
) -> StreamingResponse:
    """Send lines of a run as they come in; without a run, the newest cursor when it moves.

    Each event has its cursor as id, so that a browser that lost the connection goes on from there.
    """
    if state.streams >= _MOST:
        raise HTTPException(503, f"{_MOST} streams are open already; close one")
    run_id = None if run is None else (await state.store.run(run)).run_id
    known = after if last_event_id is None else last_event_id
    cursor = await state.store.newest_cursor() if known is None else known
    events = _lines(state, run_id, cursor) if run_id is not None else _heads(state, cursor)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_kept_open(state, events), 200, headers, "text/event-stream")


async def _lines(state: NissaState, run_id: str, cursor: int) -> AsyncIterator[str]:
    """Yield an event for each new line, and nothing now and then."""
    head = -1
    while True:
        newest = await state.store.newest_cursor()
        if newest == head:
            yield ""
            continue
        lines = await state.store.lines(run_id, after=cursor, limit=_PAGE)
        for line in lines:
            cursor = line.cursor
            yield f"id: {cursor}\nevent: line\ndata: {line.model_dump_json()}\n\n"
        if len(lines) < _PAGE:
            head = newest


async def _heads(state: NissaState, cursor: int) -> AsyncIterator[str]:
    while True:
        newest = await state.store.newest_cursor()
        if newest <= cursor:
            yield ""
            continue
        cursor = newest
        yield f"id: {cursor}\nevent: head\ndata: {cursor}\n\n"


async def _kept_open(state: NissaState, events: AsyncIterator[str]) -> AsyncIterator[str]:
    """Pass events on until the server drains; wait where there is none."""
    state.streams += 1
    quiet = 0
    try:
        yield "retry: 1000\n\n"
        async for event in events:
            if state.draining:
                return
            if event:
                quiet = 0
                yield event
                continue
            quiet += 1
            if quiet % _QUIET_POLLS == 0:
                yield ": still here\n\n"
            await asyncio.sleep(_POLL_SECONDS)
    finally:
        state.streams -= 1
