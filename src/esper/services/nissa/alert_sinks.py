"""Where alerts go: into the run store, the log, the bus, a webhook. No sink blocks."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Final, Protocol

import httpx

from esper.contracts.enums import Severity, TopicNames
from esper.contracts.errors import RunStoreError
from esper.contracts.platform_events import Alert
from esper.contracts.ports import Publisher
from esper.execution.error_recovery import ErrorRecoveryManager, RetryConfig
from esper.services.nissa.nissa_metrics import ObserverMetrics
from esper.utils.logging import get_logger

_log = get_logger("nissa")

_WAITING: Final = 200
"""Alerts that a webhook may be behind; what comes on top is dropped, and counted."""
_TRIES: Final = 4
_FIRST_PAUSE: Final = 0.5
_TIMEOUT: Final = 5.0
_SERVER_ERROR: Final = 500
_CLIENT_ERROR: Final = 400
_LATER: Final = frozenset({408, 429})


class AlertSink(Protocol):
    """Takes alerts as they are raised and as they end; must neither block nor raise."""

    def send(self, alert: Alert) -> None:
        """Take an alert; one that has ended has `ended_at`."""


class LogSink:
    """Writes a line for each alert."""

    def send(self, alert: Alert) -> None:
        """Write it: an end is information, a beginning as severe as it says."""
        tell = _log.info
        if alert.ended_at is None:
            tell = _log.error if alert.severity is Severity.CRITICAL else _log.warning
        tell(
            "alert ended" if alert.ended_at else "alert",
            rule=alert.rule.value,
            subject=alert.subject,
            run_id=alert.run_id,
            step=alert.step,
            message=alert.message,
            alert_id=alert.alert_id,
            runbook=alert.rule.runbook,
        )


class BusSink:
    """Publishes each alert on `health.alerts`."""

    def __init__(self, publisher: Publisher) -> None:
        """Send with `publisher`."""
        self._publisher = publisher

    def send(self, alert: Alert) -> None:
        """Hand it to the publisher, which never blocks."""
        self._publisher.publish(alert, topic=TopicNames.HEALTH_ALERTS)


class WebhookSink:
    """Posts each alert as JSON to an address; `run` does it, beside whoever sends."""

    def __init__(self, url: str, *, client: httpx.AsyncClient | None = None) -> None:
        """Post to `url`, with `client` or one of its own."""
        self._url = url
        self._client = client
        self._recovery = ErrorRecoveryManager(
            retry=RetryConfig(attempts=_TRIES - 1, base_seconds=_FIRST_PAUSE)
        )
        self._queue: asyncio.Queue[Alert] = asyncio.Queue(_WAITING)
        self.dropped = 0
        """Alerts that were given up."""

    def send(self, alert: Alert) -> None:
        """Put it into the queue; drop it where that is full."""
        try:
            self._queue.put_nowait(alert)
        except asyncio.QueueFull:
            self.dropped += 1

    async def run(self) -> None:
        """Post what is in the queue, until cancelled."""
        # The environment's proxies are not asked: an address inside is not to leave by them.
        client = self._client or httpx.AsyncClient(timeout=_TIMEOUT, trust_env=False)
        async with client:
            while True:
                await self._post(client, await self._queue.get())
                self._queue.task_done()

    async def drain(self, seconds: float) -> None:
        """Wait until the queue is empty, but no longer than that."""
        try:
            await asyncio.wait_for(self._queue.join(), seconds)
        except TimeoutError:
            _log.warning("alerts were not delivered to the webhook", waiting=self._queue.qsize())

    async def _post(self, client: httpx.AsyncClient, alert: Alert) -> None:
        async def once() -> int:
            try:
                answer = await client.post(
                    self._url,
                    content=alert.model_dump_json(),
                    # The same at every try: whoever receives it can tell a repetition.
                    headers={"content-type": "application/json", "idempotency-key": _key(alert)},
                )
            except httpx.HTTPError as error:
                # Not its words: the address is among them.
                raise ConnectionError(type(error).__name__) from None
            if answer.status_code >= _SERVER_ERROR or answer.status_code in _LATER:
                raise ConnectionError(f"status {answer.status_code}")
            return answer.status_code

        try:
            status = await self._recovery.arun("the webhook", once)
            trouble = f"status {status}"
        except ConnectionError as error:
            status, trouble = _SERVER_ERROR, str(error)
        if status < _CLIENT_ERROR:
            return
        self.dropped += 1
        # Not the address: there may be a secret in it.
        _log.warning("the webhook did not take an alert", alert_id=alert.alert_id, trouble=trouble)


def _key(alert: Alert) -> str:
    return f"{alert.alert_id}-{'ended' if alert.ended_at else 'raised'}"


_MOST_UNSAVED: Final = 1000

_log = get_logger("nissa")


class AlertStore(Protocol):
    """Where alerts are kept: the run store."""

    async def save_alert(self, alert: Alert) -> None:
        """Keep an alert, in place of what it was before.

        Raises:
            RunStoreError: It is away; trying again helps.
        """


class AlertDesk:
    """Sends alerts on at once, and stores them as soon as the store takes them."""

    def __init__(
        self, store: AlertStore, sinks: Sequence[AlertSink], metrics: ObserverMetrics
    ) -> None:
        """Begin with nothing to store."""
        self._store = store
        self._sinks = tuple(sinks)
        self._metrics = metrics
        self._unsaved: deque[Alert] = deque(maxlen=_MOST_UNSAVED)

    async def pass_on(self, alerts: Sequence[Alert]) -> None:
        """Send alerts to the sinks, and store them and what could not be stored before."""
        for alert in alerts:
            self._metrics.changed(alert)
            self._unsaved.append(alert)
            for sink in self._sinks:
                self._send(sink, alert)
        try:
            while self._unsaved:
                await self._store.save_alert(self._unsaved[0])
                self._unsaved.popleft()
        except RunStoreError as error:
            self._metrics.failed("alerts")
            _log.warning(
                "alerts wait for the run store", waiting=len(self._unsaved), why=str(error)
            )

    def _send(self, sink: AlertSink, alert: Alert) -> None:
        try:
            sink.send(alert)
        except Exception:  # noqa: BLE001 a sink must not keep alerts from the others
            self._metrics.failed("sink")
            _log.exception("an alert did not reach a sink", sink=type(sink).__name__)
