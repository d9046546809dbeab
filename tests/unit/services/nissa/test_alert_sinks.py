"""Sinks: the log, the bus, and a webhook that may be slow, broken or away."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from esper.contracts.base import utc_now
from esper.contracts.enums import AlertRule, Severity, TopicNames
from esper.contracts.platform_events import Alert
from esper.services.nissa import alert_sinks
from esper.services.nissa.alert_sinks import Webhook, log_alert, onto_bus
from esper.utils.logging import setup_logging
from support.publishers import KeepingPublisher
from support.scripted_http import Reply, scripted_server

ALERT = Alert(
    alert_id="a1",
    rule=AlertRule.NOT_FINITE,
    severity=Severity.CRITICAL,
    subject="train loss",
    run_id="r",
    step=5,
    message="train loss: NaN or infinite at step 5",
)
ENDED = ALERT.model_copy(update={"ended_at": utc_now()})


@pytest.fixture(autouse=True)
def _quick_and_restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(alert_sinks, "_FIRST_PAUSE", 0.001)
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def test_the_log_has_a_line_for_each_as_severe_as_it_is() -> None:
    out = io.StringIO()
    setup_logging("nissa", stream=out)
    log_alert(ALERT)
    log_alert(ENDED)
    first, second = (json.loads(line) for line in out.getvalue().splitlines())
    assert (first["level"], first["rule"], first["run_id"]) == ("error", "not_finite", "r")
    assert (second["level"], second["event"]) == ("info", "alert ended")


def test_the_bus_gets_it_on_its_topic() -> None:
    publisher = KeepingPublisher()
    onto_bus(publisher)(ALERT)
    (sent,) = publisher.sent
    assert (sent.body, sent.topic) == (ALERT, TopicNames.HEALTH_ALERTS)


async def _posted(url: str, *alerts: Alert) -> Webhook:
    async with Webhook.posting(url, 30.0) as webhook:
        for alert in alerts:
            webhook.send(alert)
    return webhook


@pytest.mark.asyncio
async def test_a_webhook_gets_each_alert_as_json_with_a_key_of_its_own() -> None:
    with scripted_server() as server:
        server.replies += [Reply(200), Reply(204)]
        sink = await _posted(server.url, ALERT, ENDED)
    first, second = server.received
    assert Alert.model_validate_json(first.body) == ALERT
    assert first.headers["content-type"] == "application/json"
    assert [r.headers["idempotency-key"] for r in (first, second)] == ["a1-raised", "a1-ended"]
    assert sink.dropped == 0


@pytest.mark.asyncio
async def test_a_webhook_that_fails_is_tried_again_with_the_same_key() -> None:
    with scripted_server() as server:
        server.replies += [Reply(503), Reply(hang_up=True), Reply(429), Reply(200)]
        sink = await _posted(server.url, ALERT)
    assert [r.headers["idempotency-key"] for r in server.received] == ["a1-raised"] * 4
    assert sink.dropped == 0


@pytest.mark.asyncio
async def test_a_webhook_that_refuses_is_asked_once_and_the_alert_is_given_up() -> None:
    with scripted_server() as server:
        server.replies += [Reply(400)]
        sink = await _posted(server.url, ALERT)
    assert len(server.received) == 1
    assert sink.dropped == 1


@pytest.mark.asyncio
async def test_a_webhook_that_is_away_costs_four_tries_and_what_waits_is_bounded() -> None:
    sink = await _posted("http://127.0.0.1:9/", ALERT)
    assert sink.dropped == 1
    for _ in range(300):
        sink.send(ALERT)
    assert sink.dropped == 101
