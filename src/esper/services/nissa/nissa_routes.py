"""Nissa over HTTP: how it and the platform are, the runs, and their new lines as a stream."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Header, Query
from prometheus_client import generate_latest
from pydantic import Field
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from esper.contracts.base import ByName, Contract, Count, Identifier, KernelId, Name
from esper.contracts.enums import ComponentStatus, RunState, Severity
from esper.contracts.platform_events import Alert
from esper.contracts.runs import (
    BuildView,
    ComponentView,
    Curve,
    Impact,
    KernelHistoryEntry,
    RunSummary,
    StoredLine,
)
from esper.contracts.version import VERSION
from esper.services.nissa.details import present
from esper.services.nissa.nissa_state import NissaState, StateDep, StoreDep
from esper.services.nissa.trends import Reading, Summary, Trend
from esper.web.http_metrics import MEDIA_TYPE
from esper.web.problems import documented, problem_response


async def _run_id(store: StoreDep, run: str) -> str:
    return (await store.run(run)).run_id


RunId = Annotated[str, Depends(_run_id)]
"""Whole id of the run that an address names by its id, the beginning of its id, or `newest`."""

CONDITION: Final = APIRouter(tags=["condition"])
RUNS: Final = APIRouter(prefix="/api/v1", tags=["runs"], responses=documented(404, 422))
PLATFORM: Final = APIRouter(prefix="/api/v1", tags=["platform"], responses=documented(404, 422))

Limit = Annotated[int, Query(ge=1, le=1000, description="How many at most.")]

_METRICS: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {MEDIA_TYPE: {"schema": {"type": "string"}}}}
}
_MOST_ALERTS: Final = 1000


class Condition(Contract):
    """Whether a server can be asked."""

    status: Literal["live", "ready"]
    """It runs, or it takes requests."""


class Health(Contract):
    """How the platform is, as far as Nissa was told."""

    status: ComponentStatus
    """The worst of what follows; unknown where nobody was heard of."""
    version: Name
    """Of Nissa."""
    bus: Literal["none", "up", "away"]
    """Whether Nissa is on a bus, and reaches it."""
    components: ByName[Count] = Field(default_factory=dict)
    """Processes by how they are; `lost` are those that said nothing for too long."""
    open_alerts: Count
    """Alerts that last."""
    critical_alerts: Count
    """Those of them that are critical."""


@CONDITION.get("/livez")
async def livez() -> Condition:
    """Answer: the process runs."""
    return Condition(status="live")


@CONDITION.get("/readyz", response_model=Condition, responses=documented())
async def readyz(state: StateDep) -> Response | Condition:
    """Say whether requests will be answered: the run store is there and nobody said stop."""
    if state.draining:
        return problem_response(503, "the server is stopping; use another")
    await state.store.newest_cursor()
    return Condition(status="ready")


@CONDITION.get("/health", responses=documented())
async def health(state: StateDep, store: StoreDep) -> Health:
    """Say how the platform is: components that were heard of, alerts that last, the bus."""
    now = datetime.fromtimestamp(state.clock.now(), UTC)
    views = present(await store.components(), now)
    alerts = await store.alerts(open_only=True, limit=_MOST_ALERTS)
    critical = sum(alert.severity is Severity.CRITICAL for alert in alerts)
    counts = Counter("lost" if view.lost else view.health.status.value for view in views)
    return Health(
        status=_worst(views, len(alerts), critical, state.metrics.bus),
        version=VERSION,
        bus=state.metrics.bus,
        components=dict(counts),
        open_alerts=len(alerts),
        critical_alerts=critical,
    )


@CONDITION.get("/metrics", response_class=Response, responses=documented() | _METRICS)
async def metrics(state: StateDep) -> Response:
    """Return the counters in Prometheus' text format."""
    return Response(generate_latest(state.metrics.registry), media_type=MEDIA_TYPE)


@CONDITION.get("/openapi.json", include_in_schema=False)
async def openapi(request: Request) -> Response:
    """Return the description of all routes, as OpenAPI."""
    return JSONResponse(request.app.openapi())


def _worst(
    views: Sequence[ComponentView], alerts: int, critical: int, bus: Literal["none", "up", "away"]
) -> ComponentStatus:
    states = {view.health.status for view in views}
    if critical or ComponentStatus.UNHEALTHY in states or any(view.lost for view in views):
        return ComponentStatus.UNHEALTHY
    if alerts or ComponentStatus.DEGRADED in states or bus == "away":
        return ComponentStatus.DEGRADED
    return ComponentStatus.HEALTHY if states else ComponentStatus.UNKNOWN


@PLATFORM.get("/metrics/current")
async def current(state: StateDep) -> list[Reading]:
    """Return every metric's value now."""
    return state.trends.current()


@PLATFORM.get("/metrics/summary")
async def summary(state: StateDep) -> list[Summary]:
    """Return lowest, highest and mean of every metric over the last hour, and counters' rates."""
    return state.trends.summary()


@PLATFORM.get("/metrics/trends")
async def trends(
    state: StateDep, names: Annotated[list[str] | None, Query(alias="name")] = None
) -> list[Trend]:
    """Return metrics over the last hour, all or those of the given names."""
    return state.trends.trends(names)


@PLATFORM.get("/alerts")
async def alerts(
    store: StoreDep,
    run: str | None = None,
    only_open: Annotated[bool, Query(alias="open", description="Only those that last.")] = False,
    limit: Limit = 100,
) -> Sequence[Alert]:
    """Return alerts, the newest first: of one run, or of all and of the platform."""
    run_id = None if run is None else (await store.run(run)).run_id
    return await store.alerts(run_id, open_only=only_open, limit=limit)


class Seen(Contract):
    """Says who has seen an alert."""

    by: Annotated[Name, Field(min_length=1)]
    """Who."""


@PLATFORM.post("/alerts/{alert_id}/acknowledgement")
async def acknowledge(store: StoreDep, alert_id: Identifier, seen: Seen) -> Alert:
    """Note that somebody has seen an alert, which stays open until it is over; who was first stays."""
    return await store.acknowledge(alert_id, seen.by)


@PLATFORM.get("/builds")
async def builds(store: StoreDep, limit: Limit = 50) -> Sequence[BuildView]:
    """Return the forge's builds, the newest first."""
    return await store.builds(limit)


@PLATFORM.get("/components")
async def components(store: StoreDep) -> Sequence[ComponentView]:
    """Return the processes of the platform, as they were last heard of."""
    return await store.components()


@RUNS.get("/runs")
async def runs(
    store: StoreDep,
    limit: Limit = 50,
    offset: Annotated[int, Query(ge=0, le=1 << 40)] = 0,
    state: RunState | None = None,
    text: Annotated[str | None, Query(max_length=200)] = None,
) -> Sequence[RunSummary]:
    """Return runs, those that began last first; `text` is looked for in name, id and folder."""
    return await store.runs(limit=limit, offset=offset, state=state, text=text)


@RUNS.get("/runs/{run}")
async def run(store: StoreDep, run: str) -> RunSummary:
    """Return one run, by its id, the beginning of its id, or `newest`."""
    return await store.run(run)


@RUNS.get("/runs/{run}/lines")
async def lines(
    store: StoreDep,
    run_id: RunId,
    after: Annotated[int, Query(ge=-1, le=1 << 62, description="Cursor that is known.")] = -1,
    types: Annotated[list[str] | None, Query(alias="type")] = None,
    kinds: Annotated[list[str] | None, Query(alias="kind")] = None,
    limit: Limit = 1000,
) -> Sequence[StoredLine]:
    """Return a run's lines in the order in which they came in."""
    return await store.lines(run_id, after=after, types=types, kinds=kinds, limit=limit)


@RUNS.get("/runs/{run}/curves")
async def curve_names(store: StoreDep, run_id: RunId) -> Sequence[str]:
    """Return the names of a run's curves."""
    return await store.curve_names(run_id)


@RUNS.get("/runs/{run}/curves/{name:path}")
async def curve(
    store: StoreDep,
    run_id: RunId,
    name: str,
    points: Annotated[int, Query(ge=2, le=100_000, description="How many at most.")] = 2000,
    since: Annotated[int, Query(ge=0, le=1 << 62, description="First step.")] = 0,
) -> Curve:
    """Return a figure over a run's steps; of too many points, each stretch keeps its extremes."""
    return await store.curve(run_id, name, points=points, since=since)


@RUNS.get("/runs/{run}/impacts")
async def impacts(store: StoreDep, run_id: RunId) -> Sequence[Impact]:
    """Return what was expected of each adaptation of a run, and what it came to."""
    return await store.impacts(run_id)


@RUNS.get("/kernels/{kernel_id}/history")
async def history(store: StoreDep, kernel_id: KernelId) -> Sequence[KernelHistoryEntry]:
    """Return what a kernel did, run by run."""
    return await store.kernel_history(kernel_id)


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


@RUNS.get("/stream", response_class=StreamingResponse, responses=_EVENTS)
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
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_stream(state, run_id, cursor), 200, headers, "text/event-stream")


async def _stream(state: NissaState, run_id: str | None, cursor: int) -> AsyncIterator[str]:
    """Yield events until the server drains, and a comment where there are none for long."""
    state.streams += 1
    head, quiet = -1, 0
    try:
        yield "retry: 1000\n\n"
        while not state.draining:
            quiet += 1
            newest = await state.store.newest_cursor()
            if run_id is None and newest > cursor:
                cursor, quiet = newest, 0
                yield f"id: {cursor}\nevent: head\ndata: {cursor}\n\n"
            elif run_id is not None and newest != head:
                lines = await state.store.lines(run_id, after=cursor, limit=_PAGE)
                for line in lines:
                    cursor, quiet = line.cursor, 0
                    yield f"id: {cursor}\nevent: line\ndata: {line.model_dump_json()}\n\n"
                if len(lines) == _PAGE:
                    continue
                head = newest
            if quiet == _QUIET_POLLS:
                quiet = 0
                yield ": still here\n\n"
            await asyncio.sleep(_POLL_SECONDS)
    finally:
        state.streams -= 1
