"""The platform over HTTP says what the store and the counters say."""

from __future__ import annotations

from datetime import UTC, datetime

import httpx
import pytest

from esper.contracts.enums import AlertRule, Severity
from esper.contracts.platform_events import Alert, BuildStarted
from esper.services.nissa.run_store import RunStore
from support import logged_runs
from support.alert_lines import component
from support.nissa_app import caller, nissa_app
from support.run_deliveries import NOW, delivery, read

API = "/api/v1"
AT = datetime.fromtimestamp(NOW, UTC)


def _alert(number: int, **changes: object) -> Alert:
    alert = Alert(
        alert_id=str(number),
        rule=AlertRule.PLATEAU,
        severity=Severity.WARNING,
        subject="",
        message="flat",
        raised_at=AT,
    )
    return alert.model_copy(update=changes)


@pytest.mark.asyncio
async def test_alerts_of_one_run_or_those_that_last_can_be_asked_for(runs: RunStore) -> None:
    await runs.append(read([delivery(logged_runs.lines())]))
    await runs.save(_alert(1, run_id="run-1"))
    await runs.save(_alert(2, ended_at=AT))
    async with caller(runs) as client:

        async def ids(**params: str) -> set[str]:
            answer = await client.get(f"{API}/alerts", params=params)
            return {alert["alert_id"] for alert in answer.json()}

        assert await ids() == {"1", "2"}
        assert await ids(run="newest") == {"1"}
        assert await ids(open="true") == {"1"}


@pytest.mark.asyncio
async def test_an_alert_is_acknowledged_with_who_and_when(runs: RunStore) -> None:
    await runs.save(_alert(1))
    async with caller(runs) as client:

        async def say(alert: str, **body: str) -> httpx.Response:
            return await client.post(f"{API}/alerts/{alert}/acknowledgement", json=body)

        assert (await say("1", by="ada")).json()["acknowledged"]["by"] == "ada"
        assert (await say("1", by="bob")).json()["acknowledged"]["by"] == "ada"
        (alert,) = (await client.get(f"{API}/alerts", params={"open": "true"})).json()
        assert alert["acknowledged"]["by"] == "ada"
        assert (await say("2", by="ada")).status_code == 404
        for wrong in ({"by": ""}, {"by": "a" * 501}, {}):
            assert (await say("1", **wrong)).status_code == 422


@pytest.mark.asyncio
async def test_components_and_builds_are_told(runs: RunStore) -> None:
    await runs.save(component(), AT)
    await runs.save(BuildStarted(blueprint_id="b", worker="w"), AT)
    async with caller(runs) as client:
        (seen,) = (await client.get(f"{API}/components")).json()
        assert (seen["health"]["instance"], seen["lost"]) == ("worker-1", False)
        (build,) = (await client.get(f"{API}/builds")).json()
        assert build["blueprint_id"] == "b"


@pytest.mark.asyncio
async def test_metrics_are_told_as_they_are_and_were(runs: RunStore) -> None:
    app = nissa_app(runs)
    for second in range(3):
        app.state.nissa.trends.read(NOW + second)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        current = (await client.get(f"{API}/metrics/current")).json()
        assert {"name": "esper_runs_live", "labels": {}, "value": 0.0} in current
        summary = (await client.get(f"{API}/metrics/summary")).json()
        assert next(s for s in summary if s["name"] == "esper_runs_live")["highest"] == 0.0
        asked = {"name": ["esper_runs_live"]}
        (trend,) = (await client.get(f"{API}/metrics/trends", params=asked)).json()
        assert trend["times"] == [NOW, NOW + 1, NOW + 2]
