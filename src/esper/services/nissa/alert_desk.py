"""AlertDesk: passes alerts on: into the store, and to every sink."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final, Protocol

from esper.contracts.errors import RunStoreError
from esper.contracts.platform_events import Alert
from esper.services.nissa.alert_sinks import AlertSink
from esper.services.nissa.nissa_metrics import ObserverMetrics
from esper.utils.logging import get_logger

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
