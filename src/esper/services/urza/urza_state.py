"""What the routes share: the library, who is asking, and how the server is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final, cast

from fastapi import Depends
from starlette.requests import Request

from esper.services.urza.access import Principal
from esper.services.urza.authentication import Authenticator
from esper.services.urza.idempotency import Turns
from esper.services.urza.kernel_library import Library
from esper.services.urza.request_limits import RateLimiter
from esper.services.urza.urza_config import UrzaConfig
from esper.web.draining import Draining
from esper.web.http_metrics import HttpMetrics

PRINCIPAL: Final = "esper.principal"
"""Key of the connection's scope under which the guard leaves who is asking."""


@dataclass(kw_only=True)
class ServerState(Draining):
    """Everything that outlives a request."""

    library: Library
    """The store."""
    config: UrzaConfig
    """The settings."""
    authenticator: Authenticator
    """Knows tokens."""
    limiter: RateLimiter
    """Knows who asks too often."""
    metrics: HttpMetrics
    """Counts."""
    turns: Turns
    """Lets repeated requests wait for their first."""


def state_of(request: Request) -> ServerState:
    """Return the state of the server that got the request."""
    return cast("ServerState", request.app.state.urza)


# Coroutines, because FastAPI would send plain functions through its thread pool.
async def _library(request: Request) -> Library:
    return state_of(request).library


async def _actor(request: Request) -> str:
    return cast("Principal", request.scope[PRINCIPAL]).actor


LibraryDep = Annotated[Library, Depends(_library)]
"""The store, as a route's argument."""
ActorDep = Annotated[str, Depends(_actor)]
"""Who is asking, as the audit log names it."""
