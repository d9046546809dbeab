"""The observer: takes messages off the bus, stores what they say, and follows what is new.

`Observer.handle` may see a message again: the store keeps each line once, and only lines that it
did not have go on to metrics, alerts and traces. `observing` makes of it work that runs beside a
process's link to the bus, in a trainer as in Nissa's own process.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, Protocol

from esper.contracts.enums import RunState, TopicNames
from esper.contracts.errors import BusUnavailableError, RunNotFoundError, RunStoreError
from esper.contracts.messages import run_of
from esper.contracts.platform_events import Alert, BuildFinished, BuildStarted, ComponentHealth
from esper.contracts.ports import Bus, Clock, Delivery, GroupLag, Publisher
from esper.contracts.records import RunRecords
from esper.services.nissa.adaptation_traces import AdaptationTracer
from esper.services.nissa.alert_sinks import AlertDesk, AlertSink, Webhook, log_alert, onto_bus
from esper.services.nissa.alerts.alert_config import AlertConfig
from esper.services.nissa.alerts.platform_rules import PLATFORM_RULES
from esper.services.nissa.alerts.watch import Watch, ended
from esper.services.nissa.details import present
from esper.services.nissa.followed_runs import FollowedRuns
from esper.services.nissa.ingest import Batch
from esper.services.nissa.nissa_metrics import ObserverMetrics
from esper.services.nissa.platform_rows import AnyDocument
from esper.services.nissa.run_store import RunStore
from esper.utils.clock import SystemClock
from esper.utils.logging import get_logger
from esper.utils.spans import Spans, open_spans

GROUP: Final = "nissa"
"""Group of the bus that Nissa's processes share."""

TOPICS: Final = (
    TopicNames.EVENTS_TRAINING,
    TopicNames.TELEMETRY_TRAINING,
    TopicNames.TELEMETRY_SEED_HEALTH,
    TopicNames.CONTROL_ADAPTATION_DECISIONS,
    TopicNames.EVENTS_RACE,
    TopicNames.EVENTS_SEED,
    TopicNames.CONTROL_RESULTS,
    TopicNames.EVENTS_COMPILATION,
    TopicNames.HEALTH_COMPONENTS,
    TopicNames.HEALTH_ALERTS,
)
"""What Nissa reads: everything but commands, and field reports, which a run's lines hold too."""

_KINDS: Final[Mapping[str, type[AnyDocument]]] = {
    kind.__name__: kind for kind in (Alert, BuildStarted, BuildFinished, ComponentHealth)
}
"""What is kept besides lines, by the name that its messages have."""

_TICK_SECONDS: Final = 1.0
_LAST_WORDS_SECONDS: Final = 2.0
_CARE_TICKS: Final = 5
"""Ticks between two looks at the bus."""

_log = get_logger("nissa")

Companion = Callable[[Bus, Publisher, asyncio.Event], Awaitable[None]]
"""Work that runs beside a link to the bus, until the event is set."""


class Consume(Protocol):
    """The consuming loop of the bus: `esper.services.oona.consumer.run_consumer`."""

    def __call__(
        self,
        bus: Bus,
        topics: Sequence[TopicNames],
        *,
        group: str,
        consumer: str,
        handle: Callable[[Sequence[Delivery]], Awaitable[None]],
        stop: asyncio.Event,
        transient: tuple[type[Exception], ...],
    ) -> Awaitable[None]:
        """Handle messages until `stop` is set."""


class Observer:
    """Keeps and follows what goes over the bus. It belongs to one event loop.

    Args:
        store: Where everything is kept; whoever opened it closes it.
        alerts: Thresholds of the rules.
        metrics: What is counted; None makes counters that nobody reads.
        sinks: Where alerts go besides the store.
        spans: Where adaptations go as traces; None traces nothing. `close` closes it.
        clock: Tells the time of what has none of its own.
    """

    def __init__(
        self,
        store: RunStore,
        alerts: AlertConfig | None = None,
        *,
        metrics: ObserverMetrics | None = None,
        sinks: Sequence[AlertSink] = (),
        spans: Spans | None = None,
        clock: Clock | None = None,
    ) -> None:
        config = alerts or AlertConfig()
        self._store = store
        self._metrics = metrics or ObserverMetrics()
        self._desk = AlertDesk(store.save, sinks, self._metrics)
        self._clock = clock or SystemClock()
        self._platform = Watch(PLATFORM_RULES, config)
        self._tracer = AdaptationTracer(spans)
        self._followed = FollowedRuns(store, config, self._metrics, self._tracer)

    async def handle(self, deliveries: Sequence[Delivery]) -> None:
        """Store what the messages say, and follow what is new; seeing them again changes nothing.

        Raises:
            pydantic.ValidationError: A payload is not what its kind says.
            RunStoreError: The store is away; trying again helps.
        """
        began, now = self._clock.monotonic(), self._clock.now()
        batches = [
            Batch.of(RunRecords.model_validate(told.payload), told.timestamp, told.trace_id)
            for told in (delivery.message for delivery in deliveries)
            if told.payload.get("kind") == "RunRecords"
        ]
        for batch in batches:
            for position, why in batch.refused.items():
                self._metrics.failed("line")
                run_id = batch.records.run_id
                _log.warning("a line is refused", run_id=run_id, position=position, why=why)
        for new in await self._store.append(batches):
            try:
                await self._desk.pass_on(await self._followed.follow(new, now=now))
            except Exception:  # noqa: BLE001 the line is stored, what fails after it is logged
                self._metrics.failed("following")
                _log.exception("a line could not be followed", run_id=new.run_id)
        for delivery in deliveries:
            await self._take(delivery)
        self._count(deliveries, self._clock.monotonic() - began)

    async def tick(self) -> None:
        """Let the rules and the traces look at the clock.

        Raises:
            RunStoreError: The store is away.
        """
        self._tracer.tick(self._clock.now())
        now = self._now()
        await self._desk.pass_on([*self._platform.tick(now), *self._followed.tick(now)])

    async def count_present(self) -> None:
        """Count who is there, and which alerts last, for whoever reads the metrics.

        Raises:
            RunStoreError: The store is away.
        """
        now = self._now()
        views = await self._store.components()
        self._metrics.components(
            Counter((view.health.component.value, view.state) for view in present(views, now))
        )
        self._metrics.open_alerts([*self._followed.open, *self._platform.open])

    async def measured(self, lags: Sequence[GroupLag] | None) -> None:
        """Let the rules look at how far the bus is behind; None says that it is away."""
        self._metrics.lagging(lags)
        if lags is not None:
            await self._desk.pass_on(self._platform.measured(lags, self._now()))

    def close(self) -> None:
        """Send the traces that are left."""
        self._tracer.close()

    async def recall(self) -> None:
        """Take up the platform's alerts that were open; end those of runs that are over.

        Raises:
            RunStoreError: The store is away.
        """
        opened = await self._store.alerts(open_only=True, limit=1000)
        self._platform.recall([alert for alert in opened if alert.run_id is None])
        over = [alert for alert in opened if await self._is_over(alert.run_id)]
        await self._desk.pass_on([ended(alert, self._now()) for alert in over])
        for view in await self._store.components():
            if not view.health.leaving:
                self._platform.heard(view.health, view.seen_at)

    async def ended_groups(self, lags: Sequence[GroupLag]) -> Sequence[GroupLag]:
        """Return the groups of runs that are over, however they ended.

        Raises:
            RunStoreError: The store is away.
        """
        return [lag for lag in lags if await self._is_over(run_of(lag.group))]

    async def _is_over(self, run_id: str | None) -> bool:
        if run_id is None:
            return False
        try:
            return (await self._store.run(run_id)).state is not RunState.RUNNING
        except RunNotFoundError:
            # Its first line may be on its way.
            return False

    async def _take(self, delivery: Delivery) -> None:
        message = delivery.message
        kind = _KINDS.get(str(message.payload.get("kind")))
        if kind is None:
            return
        told, at = kind.model_validate(message.payload), message.timestamp
        await self._store.save(told, at)
        if isinstance(told, ComponentHealth):
            self._metrics.heard(told)
            await self._desk.pass_on(self._platform.heard(told, at))
        elif isinstance(told, BuildFinished):
            self._metrics.built(told)

    def _count(self, deliveries: Sequence[Delivery], seconds: float) -> None:
        now = self._clock.now()
        self._metrics.handled_batch(seconds)
        for delivery in deliveries:
            message = delivery.message
            self._metrics.handled(message.topic, max(now - message.timestamp.timestamp(), 0.0))

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.now(), UTC)


def observing(
    store_url: str | None,
    consume: Consume,
    *,
    alerts: AlertConfig | None = None,
    metrics: ObserverMetrics | None = None,
    webhook: str | None = None,
    platform: bool = False,
    consumer: str | None = None,
) -> Companion:
    """Return an observer as work beside a link to the bus.

    Args:
        store_url: The run store; None is this user's own.
        consume: The bus's consuming loop.
        alerts: Thresholds of the rules.
        metrics: What is counted; None makes counters that nobody reads.
        webhook: Address that alerts are posted to.
        platform: Whether it looks after the components that the store knows, too. In a trainer's
            own process it must not: it would not hear of them.
        consumer: Name among Nissa's processes, the same after a restart; None is the machine's.
    """

    async def observe(bus: Bus, publisher: Publisher, stop: asyncio.Event) -> None:
        # Before anything else: what is published from now on must not be missed.
        await bus.join(TOPICS, GROUP, since="0")
        async with contextlib.AsyncExitStack() as stack:
            store = await RunStore.open(store_url)
            stack.push_async_callback(store.close)
            sinks: list[AlertSink] = [log_alert, onto_bus(publisher)]
            if webhook is not None:
                posting = Webhook.posting(webhook, _LAST_WORDS_SECONDS)
                sinks.append((await stack.enter_async_context(posting)).send)
            observer = Observer(
                store, alerts, metrics=metrics, sinks=sinks, spans=open_spans("esper-nissa")
            )
            stack.callback(observer.close)
            if platform:
                await observer.recall()
            async with asyncio.TaskGroup() as tasks:
                caring = tasks.create_task(_care(observer, bus, stop, platform=platform))
                await consume(
                    bus,
                    TOPICS,
                    group=GROUP,
                    consumer=consumer or socket.gethostname(),
                    handle=observer.handle,
                    stop=stop,
                    transient=(OSError, RunStoreError),
                )
                caring.cancel()

    return observe


async def _care(observer: Observer, bus: Bus, stop: asyncio.Event, *, platform: bool) -> None:
    """Look at the clock, and now and then after the bus: its lag, and what it need not keep."""
    ticks, said = 0, ""
    while not stop.is_set():
        await asyncio.sleep(_TICK_SECONDS)
        ticks += 1
        try:
            await observer.tick()
            if platform:
                await observer.count_present()
            if ticks % _CARE_TICKS == 0:
                await observer.measured(await _lags(bus, observer))
        except RunStoreError as error:
            if str(error) != said:
                said = str(error)
                _log.warning("nissa cannot look around for now", why=said)
        else:
            said = ""


async def _lags(bus: Bus, observer: Observer) -> Sequence[GroupLag] | None:
    """Return how far groups are behind; those of runs that are over are removed first."""
    try:
        lags = await bus.lag()
        over = await observer.ended_groups(lags)
        for lag in over:
            # A run that goes on joins again, and gets what was sent meanwhile.
            await bus.leave([lag.topic], lag.group)
        await bus.trim()
    except BusUnavailableError:
        return None
    return [lag for lag in lags if lag not in over]
