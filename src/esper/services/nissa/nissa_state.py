"""What the routes share: the run store, the counters, and how the server is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from esper.contracts.ports import Clock
from esper.services.nissa.nissa_config import NissaConfig
from esper.services.nissa.nissa_metrics import ObserverMetrics
from esper.services.nissa.run_store import RunStore
from esper.services.nissa.trends import Trends
from esper.web.draining import Draining


@dataclass(kw_only=True)
class NissaState(Draining):
    """Everything that outlives a request."""

    store: RunStore
    """The runs."""
    config: NissaConfig
    """The settings."""
    metrics: ObserverMetrics
    """Counts."""
    trends: Trends
    """What the counters were, over time."""
    clock: Clock
    """Tells the time."""
    streams: int = 0
    """Event streams that are open."""


# Coroutines, because FastAPI would send plain functions through its thread pool.
async def _state(request: Request) -> NissaState:
    state: NissaState = request.app.state.nissa
    return state


StateDep = Annotated[NissaState, Depends(_state)]
"""All of the state, as a route's argument."""


async def _store(state: StateDep) -> RunStore:
    return state.store


StoreDep = Annotated[RunStore, Depends(_store)]
"""The runs, as a route's argument."""
