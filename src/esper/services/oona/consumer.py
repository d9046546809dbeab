"""The consuming loop of a service: take, handle, acknowledge; try again; give up what cannot be."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from esper.contracts.enums import TopicNames
from esper.contracts.errors import BusUnavailableError
from esper.contracts.ports import Bus, Delivery
from esper.services.oona.bus_config import OonaConfig

logger = logging.getLogger(__name__)

Handle = Callable[[Sequence[Delivery]], Awaitable[None]]
"""Carries out messages' effects, all of them or none; raises where it cannot."""

_WAIT_SECONDS: Final = 0.25
"""How long a consumer that has nothing to do waits before it looks whether it is to stop."""


async def run_consumer(
    bus: Bus,
    topics: Sequence[TopicNames],
    *,
    group: str,
    consumer: str,
    handle: Handle,
    stop: asyncio.Event,
    config: OonaConfig | None = None,
    since: str = "0",
    transient: tuple[type[Exception], ...] = (OSError,),
) -> None:
    """Handle messages until `stop` is set; every one at least once, and acknowledged afterwards.

    A batch that fails is tried message by message. A message that fails as often as the
    configuration says goes to the dead letters with its error, and so does one that was delivered
    as often and never finished. While the bus cannot be reached, or `handle` raises a transient
    error, nothing is given up: it is tried again, after longer and longer pauses.

    Args:
        bus: Where messages come from.
        topics: Which.
        group: Who shares them; made unless it exists.
        consumer: Name within the group: the same after a restart, and nobody else's.
        handle: Called with one message or several. Sees messages again that it has seen, if the
            process died before they were acknowledged: it drops them by their event id.
        stop: Ends the loop, after the batch in hand.
        config: Tries, pauses, sizes.
        since: Where a new group begins; see `Bus.join`.
        transient: Errors of `handle` that pass by themselves, such as a database that is away.
    """
    work = _Work(
        bus,
        handle,
        stop,
        OonaConfig() if config is None else config,
        (*transient, BusUnavailableError),
    )
    if not await work.until_done(lambda: bus.join(topics, group, since=since)):
        return
    failures = 0
    # Acknowledged while the next messages are on their way.
    acknowledged: asyncio.Future[None] | None = None
    while not stop.is_set():
        try:
            batch = await bus.consume(
                topics,
                group=group,
                consumer=consumer,
                limit=work.config.batch,
                wait_seconds=_WAIT_SECONDS,
            )
        except BusUnavailableError as error:
            failures += 1
            await work.pause(failures, error)
            continue
        failures = 0
        if acknowledged is not None:
            await acknowledged
        done = await work.through(batch)
        acknowledged = asyncio.ensure_future(work.acknowledge(done))
    if acknowledged is not None:
        await acknowledged


@dataclass(frozen=True)
class _Work:
    bus: Bus
    handle: Handle
    stop: asyncio.Event
    config: OonaConfig
    transient: tuple[type[Exception], ...]

    async def through(self, batch: Sequence[Delivery]) -> Sequence[Delivery]:
        """Handle a batch; return what is to be acknowledged. The rest is given up, or left pending."""
        fresh = []
        for delivery in batch:
            if delivery.tries <= self.config.max_tries:
                fresh.append(delivery)
            else:
                error = f"delivered {delivery.tries - 1} times, and nobody was done with it"
                await self._bury(delivery, error)
        if not fresh:
            return []
        try:
            return fresh if await self.until_done(lambda: self.handle(fresh)) else []
        except Exception:  # whatever a message provokes, the others must get through
            logger.warning("A batch of %d failed; trying one by one", len(fresh), exc_info=True)
        return [delivery for delivery in fresh if await self._alone(delivery)]

    async def acknowledge(self, done: Sequence[Delivery]) -> None:
        """Acknowledge what was handled; what cannot be, before it is to stop, comes again."""
        if done:
            await self.until_done(lambda: self.bus.ack(done))

    async def _alone(self, delivery: Delivery) -> bool:
        """Handle one message, as often as it may be tried; return whether that worked."""
        tries = delivery.tries
        while not self.stop.is_set():
            try:
                return await self.until_done(lambda: self.handle([delivery]))
            except Exception as error:  # noqa: BLE001  # goes to the dead letters with the message
                if tries >= self.config.max_tries:
                    await self._bury(delivery, f"{type(error).__name__}: {error}")
                    return False
                await self._sleep(self.config.backoff(tries))
                tries += 1
        return False

    async def _bury(self, delivery: Delivery, error: str) -> None:
        message = delivery.message
        logger.error(
            "Giving up message %s of %s for the group %s: %s",
            message.event_id,
            message.topic.value,
            delivery.group,
            error,
        )
        await self.until_done(lambda: self.bus.bury(delivery, error))

    async def until_done(self, action: Callable[[], Awaitable[None]]) -> bool:
        """Act, again and again while that fails for a time; return False if asked to stop first."""
        failures = 0
        while True:
            try:
                await action()
            except self.transient as error:
                failures += 1
                await self.pause(failures, error)
                if self.stop.is_set():
                    return False
            else:
                return True

    async def pause(self, failures: int, error: Exception) -> None:
        """Wait before trying again; says why, the first time."""
        if failures == 1:
            logger.warning("Cannot go on for now, and keep trying: %s", error)
        await self._sleep(self.config.backoff(failures))

    async def _sleep(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self.stop.wait(), seconds)
        except TimeoutError:
            return
