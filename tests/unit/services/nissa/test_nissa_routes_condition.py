"""How Nissa says that it and the platform are."""

from __future__ import annotations

from datetime import UTC, datetime

import httpx
import pytest

from esper.contracts.enums import AlertRule, Severity
from esper.contracts.platform_events import Alert
from esper.services.nissa.run_store import RunStore
from support.alert_lines import component
from support.nissa_app import caller, nissa_app
from support.run_deliveries import NOW


@pytest.mark.asyncio
async def test_it_is_live_and_ready_until_it_drains(runs: RunStore) -> None:
    app = nissa_app(runs)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        assert (await client.get("/livez")).json() == {"status": "live"}
        assert (await client.get("/readyz")).json() == {"status": "ready"}
        app.state.nissa.draining = True
        assert (await client.get("/readyz")).status_code == 503
        assert (await client.get("/livez")).status_code == 200


@pytest.mark.asyncio
async def test_health_is_unknown_where_nobody_was_heard_of(runs: RunStore) -> None:
    async with caller(runs) as client:
        said = (await client.get("/health")).json()
    assert (said["status"], said["bus"], said["components"]) == ("unknown", "none", {})


@pytest.mark.asyncio
async def test_health_is_as_good_as_the_worst_of_what_is_known(runs: RunStore) -> None:
    at = datetime.fromtimestamp(NOW, UTC)
    async with caller(runs) as client:
        await runs.save(component(), at)
        assert (await client.get("/health")).json()["status"] == "healthy"
        alert = Alert(
            alert_id="1",
            rule=AlertRule.PLATEAU,
            severity=Severity.WARNING,
            subject="",
            message="flat",
        )
        await runs.save(alert)
        said = (await client.get("/health")).json()
        assert (said["status"], said["open_alerts"]) == ("degraded", 1)
        await runs.save(alert.model_copy(update={"severity": Severity.CRITICAL}))
        said = (await client.get("/health")).json()
        assert (said["status"], said["critical_alerts"]) == ("unhealthy", 1)


@pytest.mark.asyncio
async def test_metrics_are_in_prometheus_format(runs: RunStore) -> None:
    async with caller(runs) as client:
        answer = await client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert 'esper_alerts_open{rule="loss_spike"} 0.0' in answer.text
