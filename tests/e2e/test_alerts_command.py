"""`esper nissa alerts` and `acknowledge`, as a user types them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from esper.cli.app import app
from esper.contracts.enums import AlertRule, Severity
from esper.contracts.platform_events import Alert
from esper.services.nissa.run_store import RunStore

ALERT = Alert(
    alert_id="0c4be1a2",
    rule=AlertRule.NOT_FINITE,
    severity=Severity.CRITICAL,
    subject="train loss",
    run_id="run-1",
    message="the train loss is not finite\x1b[2J",
)


@pytest.fixture(autouse=True)
def _store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path / 'runs.db'}"
    monkeypatch.setenv("ESPER_RUN_STORE", url)

    async def keep() -> None:
        store = await RunStore.open(url)
        await store.save(ALERT)
        await store.close()

    asyncio.run(keep())


def esper(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["nissa", *arguments])


def test_an_alert_is_listed_until_somebody_has_seen_it() -> None:
    listed = esper("alerts").stdout
    assert "0c4be1a2  critical not_finite of run run-1" in listed
    assert "docs/runbook.md#not_finite" in listed
    assert "\x1b" not in listed
    seen = esper("acknowledge", "0c4be1a2", "--by", "ada")
    assert "not_finite train loss: seen by ada" in seen.stdout
    assert "no alerts" in esper("alerts").stderr
    assert "seen by ada" in esper("alerts", "--all").stdout
    (alert,) = json.loads(esper("alerts", "--all", "--json").stdout)
    assert (alert["acknowledged"]["by"], alert["ended_at"]) == ("ada", None)


def test_an_alert_that_is_not_there_is_refused() -> None:
    refused = esper("acknowledge", "nothing")
    assert refused.exit_code == 5
    assert "no alert 'nothing'" in refused.stderr
