"""Runs over HTTP: which there are, their lines, curves, slots, and what adaptations came to."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Query

from esper.contracts.base import KernelId
from esper.contracts.enums import RunState
from esper.contracts.runs import Curve, Impact, KernelHistoryEntry, RunSummary, StoredLine
from esper.services.nissa.nissa_state import StoreDep
from esper.web.problems import documented

RUNS: Final = APIRouter(prefix="/api/v1", tags=["runs"], responses=documented(404, 422))

Limit = Annotated[int, Query(ge=1, le=1000, description="How many at most.")]


@RUNS.get("/runs")
async def runs(
    store: StoreDep,
    limit: Limit = 50,
    offset: Annotated[int, Query(ge=0, le=1 << 40)] = 0,
    state: RunState | None = None,
    text: Annotated[str | None, Query(max_length=200)] = None,
) -> list[RunSummary]:
    """Return runs, those that began last first; `text` is looked for in name, id and folder."""
    return list(await store.runs(limit=limit, offset=offset, state=state, text=text))


@RUNS.get("/runs/{run}")
async def run(store: StoreDep, run: str) -> RunSummary:
    """Return one run, by its id, the beginning of its id, or `newest`."""
    return await store.run(run)


@RUNS.get("/runs/{run}/lines")
async def lines(
    store: StoreDep,
    run: str,
    after: Annotated[int, Query(ge=-1, le=1 << 62, description="Cursor that is known.")] = -1,
    types: Annotated[list[str] | None, Query(alias="type")] = None,
    kinds: Annotated[list[str] | None, Query(alias="kind")] = None,
    limit: Limit = 1000,
) -> list[StoredLine]:
    """Return a run's lines in the order in which they came in."""
    run_id = (await store.run(run)).run_id
    found = await store.lines(run_id, after=after, types=types, kinds=kinds, limit=limit)
    return list(found)


@RUNS.get("/runs/{run}/curves")
async def curve_names(store: StoreDep, run: str) -> list[str]:
    """Return the names of a run's curves."""
    return list(await store.curve_names((await store.run(run)).run_id))


@RUNS.get("/runs/{run}/curves/{name:path}")
async def curve(
    store: StoreDep,
    run: str,
    name: str,
    points: Annotated[int, Query(ge=2, le=100_000, description="How many at most.")] = 2000,
    since: Annotated[int, Query(ge=0, le=1 << 62, description="First step.")] = 0,
) -> Curve:
    """Return a figure over a run's steps; of too many points, each stretch keeps its extremes."""
    run_id = (await store.run(run)).run_id
    return await store.curve(run_id, name, points=points, since=since)


@RUNS.get("/runs/{run}/impacts")
async def impacts(store: StoreDep, run: str) -> list[Impact]:
    """Return what was expected of each adaptation of a run, and what it came to."""
    return list(await store.impacts((await store.run(run)).run_id))


@RUNS.get("/kernels/{kernel_id}/history")
async def history(store: StoreDep, kernel_id: KernelId) -> list[KernelHistoryEntry]:
    """Return what a kernel did, run by run."""
    return list(await store.kernel_history(kernel_id))
