"""How Nissa is, and what it knows of the platform: `/livez`, `/readyz`, `/health`, `/metrics`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final, Literal

from fastapi import APIRouter
from prometheus_client import generate_latest
from pydantic import Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from esper.contracts.base import ByName, Contract, Count, Name
from esper.contracts.enums import ComponentStatus, Severity
from esper.contracts.runs import ComponentView
from esper.contracts.version import VERSION
from esper.services.nissa.details import present
from esper.services.nissa.nissa_state import StateDep, StoreDep
from esper.web.http_metrics import MEDIA_TYPE
from esper.web.problems import documented, problem_response

CONDITION: Final = APIRouter(tags=["condition"])

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
