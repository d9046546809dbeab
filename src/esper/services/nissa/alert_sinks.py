"""Where alerts go: into the run store, the log, the bus, a webhook. No sink blocks."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import Final, Self

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
_MOST_UNSAVED: Final = 1000

AlertSink = Callable[[Alert], None]
"""Takes alerts as they are raised and as they end, with `ended_at`; does not block."""


def log_alert(alert: Alert) -> None:
    """Write a line to the log: an end is information, a beginning as severe as it says."""
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


def onto_bus(publisher: Publisher) -> AlertSink:
    """Return a sink that publishes on `health.alerts`; the publisher never blocks."""
    return partial(publisher.publish, topic=TopicNames.HEALTH_ALERTS)


class Webhook:
    """Posts each alert as JSON to an address, in a task beside whoever sends."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._recovery = ErrorRecoveryManager(
            retry=RetryConfig(attempts=_TRIES - 1, base_seconds=_FIRST_PAUSE)
        )
        self._queue: asyncio.Queue[Alert] = asyncio.Queue(_WAITING)
        self.dropped = 0
        """Alerts that were given up."""

    @classmethod
    @contextlib.asynccontextmanager
    async def posting(cls, url: str, last_words: float) -> AsyncIterator[Self]:
        """Yield a webhook that posts; at the end it has `last_words` seconds to deliver."""
        webhook = cls(url)
        task = asyncio.create_task(webhook._run())
        try:
            yield webhook
        finally:
            try:
                await asyncio.wait_for(webhook._queue.join(), last_words)
            except TimeoutError:
                waiting = webhook._queue.qsize()
                _log.warning("alerts were not delivered to the webhook", waiting=waiting)
            task.cancel()

    def send(self, alert: Alert) -> None:
        """Put it into the queue; drop it where that is full."""
        try:
            self._queue.put_nowait(alert)
        except asyncio.QueueFull:
            self.dropped += 1

    async def _run(self) -> None:
        # The environment's proxies are not asked: an address inside is not to leave by them.
        async with httpx.AsyncClient(timeout=_TIMEOUT, trust_env=False) as client:
            while True:
                alert = await self._queue.get()
                try:
                    trouble = await self._recovery.arun("the webhook", self._once(client, alert))
                except ConnectionError as error:
                    trouble = str(error)
                if trouble:
                    self.dropped += 1
                    # Not the address: there may be a secret in it.
                    _log.warning(
                        "the webhook did not take an alert",
                        alert_id=alert.alert_id,
                        trouble=trouble,
                    )
                self._queue.task_done()

    def _once(self, client: httpx.AsyncClient, alert: Alert) -> Callable[[], Awaitable[str]]:
        """Return one try, which says why the alert is refused for good; empty if it is taken."""
        # The same at every try: whoever receives it can tell a repetition.
        key = f"{alert.alert_id}-{'ended' if alert.ended_at else 'raised'}"
        headers = {"content-type": "application/json", "idempotency-key": key}

        async def once() -> str:
            try:
                answer = await client.post(
                    self._url, content=alert.model_dump_json(), headers=headers
                )
            except httpx.HTTPError as error:
                # Not its words: the address is among them.
                raise ConnectionError(type(error).__name__) from None
            status = answer.status_code
            if status >= _SERVER_ERROR or status in _LATER:
                raise ConnectionError(f"status {status}")
            return "" if status < _CLIENT_ERROR else f"status {status}"

        return once


class AlertDesk:
    """Sends alerts on at once, and stores them as soon as the store takes them.

    Args:
        save: Keeps an alert, in place of what it was before; raises RunStoreError where it is to
            be tried again.
        sinks: Where alerts go besides.
        metrics: Counts them.
    """

    def __init__(
        self,
        save: Callable[[Alert], Awaitable[None]],
        sinks: Sequence[AlertSink],
        metrics: ObserverMetrics,
    ) -> None:
        self._save = save
        self._sinks = tuple(sinks)
        self._metrics = metrics
        self._unsaved: deque[Alert] = deque(maxlen=_MOST_UNSAVED)

    async def pass_on(self, alerts: Sequence[Alert]) -> None:
        """Send alerts to the sinks, and store them and what could not be stored before."""
        for alert in alerts:
            self._metrics.changed(alert)
            self._unsaved.append(alert)
            for sink in self._sinks:
                try:
                    sink(alert)
                except Exception:  # noqa: BLE001 a sink must not keep alerts from the others
                    self._metrics.failed("sink")
                    _log.exception("an alert did not reach a sink", sink=str(sink))
        try:
            while self._unsaved:
                await self._save(self._unsaved[0])
                self._unsaved.popleft()
        except RunStoreError as error:
            self._metrics.failed("alerts")
            _log.warning(
                "alerts wait for the run store", waiting=len(self._unsaved), why=str(error)
            )
