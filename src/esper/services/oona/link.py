"""Link: a process's way onto the bus. Takes messages at once and sends them in the background."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from pydantic import BaseModel

from esper.contracts.enums import TopicNames
from esper.contracts.errors import BusUnavailableError, EsperError
from esper.contracts.ports import Bus, Publisher
from esper.services.oona.bus_config import OonaConfig
from esper.services.oona.gathering import Parcel, Waiting, gather
from esper.services.oona.memory_bus import InProcessBus

logger = logging.getLogger(__name__)

Companion = Callable[[Bus, Publisher, asyncio.Event], Awaitable[None]]
"""Work that runs beside the link, on its thread, until the event is set."""

_LAST_SECONDS: Final = 1.0
"""How much longer than asked for `close` may take, for tasks to be cancelled and threads to end."""


class Link:
    """Sends what it is given, from one background thread. Implements the port `Publisher`.

    While the bus is away messages wait, as many as the configuration says; further ones are
    dropped and counted. Nothing here blocks or raises in the thread that publishes.

    Args:
        open_bus: Opens the bus; called on the background thread, again and again while it raises
            BusUnavailableError.
        sender_id: Who sends: `component/instance`.
        config: How many messages wait, and how long lines are gathered.
        also: What runs beside it. One that fails is started again. On closing they are stopped one
            after the other, the last first, and what each still says is delivered before the next
            one is stopped: an observer on a bus within this process stands first. Whoever must
            miss nothing joins its group before it awaits anything else.
    """

    def __init__(
        self,
        open_bus: Callable[[], Awaitable[Bus]],
        *,
        sender_id: str,
        config: OonaConfig | None = None,
        also: Sequence[Companion] = (),
    ) -> None:
        self._open_bus = open_bus
        self._sender_id = sender_id
        self._config = OonaConfig() if config is None else config
        self._also = also
        self._queue: deque[Waiting] = deque()
        self._in_hand: deque[Parcel] = deque()
        self._dropped: dict[TopicNames, int] = {}
        self._drops = threading.Lock()
        self._sent = 0
        self._ended = False
        self._until: float | None = None
        self._closing = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="esper-link", daemon=True)
        self._thread.start()

    def publish(
        self,
        body: BaseModel,
        *,
        topic: TopicNames,
        trace_id: str | None = None,
        traceparent: str | None = None,
    ) -> None:
        """Take the command or event; it is frozen and may be kept."""
        if self._ended or len(self._queue) >= self._config.capacity:
            self._drop(topic, 1)
        else:
            # The thread looks for itself now and then: waking it would cost more than this.
            self._queue.append(Waiting(body, topic, trace_id, traceparent, time.time()))

    @property
    def dropped(self) -> Mapping[TopicNames, int]:
        """Messages that were given up, by topic, so far."""
        with self._drops:
            return dict(self._dropped)

    @property
    def sent(self) -> int:
        """Messages that the bus took so far."""
        return self._sent

    def close(self, drain_seconds: float = 5.0) -> None:
        """Send what waits, stop the companions, and end; what takes longer is dropped.

        Args:
            drain_seconds: Longest time for all of it, in seconds. A second more where something
                cannot be interrupted.
        """
        if self._until is None:
            self._until = time.monotonic() + drain_seconds
            # Raised where the thread has ended by itself.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join(max(0.0, self._until - time.monotonic()) + _LAST_SECONDS)
        self._end()

    def _end(self) -> None:
        self._ended = True
        with contextlib.suppress(IndexError):
            while True:
                self._drop(self._queue.popleft().topic, 1)

    def _drop(self, topic: TopicNames, count: int) -> None:
        # Held for an addition only: nobody waits here.
        with self._drops:
            self._dropped[topic] = self._dropped.get(topic, 0) + count

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._live())
        except Exception:  # the thread's last boundary: nobody else would say why it ended
            logger.exception("The link to the bus has ended; what is published now is dropped")
        finally:
            for parcel in self._in_hand:
                self._drop(parcel.message.topic, parcel.bodies)
            self._end()

    async def _live(self) -> None:
        bus = await self._opened()
        if bus is None:
            return
        sender = asyncio.create_task(self._send_until_closing(bus))
        stops = [asyncio.Event() for _ in self._also]
        tasks = [
            asyncio.create_task(self._keep(companion, bus, stop))
            for companion, stop in zip(self._also, stops, strict=True)
        ]
        await self._closing.wait()
        try:
            async with asyncio.timeout(self._left()):
                await sender
                await self._wind_down(bus, list(zip(tasks, stops, strict=True)))
        except TimeoutError:
            if isinstance(bus, InProcessBus):
                # What nobody has handled within the process goes with it.
                for group in await bus.lag():
                    self._drop(group.topic, group.waiting + group.pending)
            else:
                logger.warning("Closing the link to the bus took too long; the rest is dropped")
        finally:
            for task in (sender, *tasks):
                task.cancel()
            await asyncio.gather(sender, *tasks, return_exceptions=True)
            await bus.close()

    async def _send_until_closing(self, bus: Bus) -> None:
        while not self._closing.is_set():
            await self._flush(bus)
            await _wait(self._closing, self._config.linger_seconds)

    async def _opened(self) -> Bus | None:
        failures = 0
        while not self._closing.is_set():
            try:
                return await self._open_bus()
            except BusUnavailableError as error:
                failures += 1
                self._say_once(failures, error)
                await _wait(self._closing, self._config.backoff(failures))
        return None

    async def _wind_down(
        self, bus: Bus, companions: Sequence[tuple[asyncio.Task[None], asyncio.Event]]
    ) -> None:
        await self._delivered(bus)
        for task, stop in reversed(companions):
            stop.set()
            await asyncio.wait([task])
            await self._delivered(bus)

    async def _delivered(self, bus: Bus) -> None:
        """Send all that waits; within a process, wait until every group has handled it."""
        await self._flush(bus)
        while isinstance(bus, InProcessBus) and any(
            group.waiting or group.pending for group in await bus.lag()
        ):
            await asyncio.sleep(self._config.linger_seconds / 10)
            await self._flush(bus)

    async def _flush(self, bus: Bus) -> None:
        """Send what waits, as often as it takes."""
        failures = 0
        while self._in_hand or self._queue:
            if not self._in_hand:
                taken = [
                    self._queue.popleft() for _ in range(min(len(self._queue), self._config.batch))
                ]
                self._in_hand.extend(gather(taken, self._sender_id))
            try:
                await self._send(bus, len(self._in_hand))
            except BusUnavailableError as error:
                failures += 1
                self._say_once(failures, error)
                if self._closing.is_set():
                    await asyncio.sleep(self._config.linger_seconds)
                else:
                    await _wait(self._closing, self._config.backoff(failures))
            else:
                failures = 0

    async def _send(self, bus: Bus, number: int) -> None:
        """Send the first so many in hand; one by one, where something is wrong with one of them."""
        parcels = list(itertools.islice(self._in_hand, number))
        try:
            await bus.publish([parcel.message for parcel in parcels])
        except BusUnavailableError:
            raise
        except Exception:  # counted: the message that the bus does not take
            if number > 1:
                for _ in parcels:
                    await self._send(bus, 1)
                return
            topic = parcels[0].message.topic
            self._drop(topic, parcels[0].bodies)
            logger.warning("Dropping a message of %s", topic.value, exc_info=True)
        else:
            self._sent += number
        for _ in parcels:
            self._in_hand.popleft()

    async def _keep(self, companion: Companion, bus: Bus, stop: asyncio.Event) -> None:
        failures, said = 0, ""
        while not stop.is_set():
            try:
                await companion(bus, self, stop)
            except EsperError as error:  # what it needs is away, and may come back
                failures += 1
                if str(error) != said:
                    said = str(error)
                    logger.warning("Work beside the link waits: %s", said)
                await _wait(stop, self._config.backoff(failures))
            except Exception:  # it must not take the others down; it is started again
                failures += 1
                logger.warning("Work beside the link failed; starting it again", exc_info=True)
                await _wait(stop, self._config.backoff(failures))
            else:
                return

    def _left(self) -> float:
        return 0.0 if self._until is None else max(0.0, self._until - time.monotonic())

    @staticmethod
    def _say_once(failures: int, error: Exception) -> None:
        if failures == 1:
            logger.warning("The bus is away; messages wait for it: %s", error)


async def _wait(event: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
