"""The platform over HTTP: its metrics now and over time, alerts, components, builds."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Query
from pydantic import Field

from esper.contracts.base import Contract, Identifier, Name
from esper.contracts.platform_events import Alert
from esper.contracts.runs import BuildView, ComponentView
from esper.services.nissa.nissa_state import StateDep, StoreDep
from esper.services.nissa.trends import Reading, Summary, Trend
from esper.web.problems import documented

PLATFORM: Final = APIRouter(prefix="/api/v1", tags=["platform"], responses=documented(404, 422))


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
    limit: Annotated[int, Query(ge=1, le=1000, description="How many at most.")] = 100,
) -> list[Alert]:
    """Return alerts, the newest first: of one run, or of all and of the platform."""
    run_id = None if run is None else (await store.run(run)).run_id
    return list(await store.alerts(run_id, open_only=only_open, limit=limit))


class Seen(Contract):
    """Says who has seen an alert."""

    by: Annotated[Name, Field(min_length=1)]
    """Who."""


@PLATFORM.post("/alerts/{alert_id}/acknowledgement")
async def acknowledge(store: StoreDep, alert_id: Identifier, seen: Seen) -> Alert:
    """Note that somebody has seen an alert, which stays open until it is over; who was first stays."""
    return await store.acknowledge(alert_id, seen.by)


@PLATFORM.get("/builds")
async def builds(
    store: StoreDep,
    limit: Annotated[int, Query(ge=1, le=1000, description="How many at most.")] = 50,
) -> list[BuildView]:
    """Return the forge's builds, the newest first."""
    return list(await store.builds(limit))


@PLATFORM.get("/components")
async def components(store: StoreDep) -> list[ComponentView]:
    """Return the processes of the platform, as they were last heard of."""
    return list(await store.components())
