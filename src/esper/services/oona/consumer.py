"""The consuming loop of a service: take, handle, acknowledge; try again; give up what cannot be."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from esper.contracts.enums import TopicNames
from esper.contracts.errors import BusUnavailableError
from esper.contracts.ports import Bus
from esper.contracts.ports import Delivery
from esper.services.oona.config import OonaConfig

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
        if batch:
            await work.through(batch)


@dataclass(frozen=True)
class _Work:
    bus: Bus
    handle: Handle
    stop: asyncio.Event
    config: OonaConfig
    transient: tuple[type[Exception], ...]

    async def through(self, batch: Sequence[Delivery]) -> None:
        """Handle and acknowledge a batch; what is left when asked to stop stays pending."""
        spent = [delivery for delivery in batch if delivery.tries > self.config.max_tries]
        for delivery in spent:
            error = f"delivered {delivery.tries - 1} times, and nobody was done with it"
            await self._bury(delivery, error)
        fresh = [delivery for delivery in batch if delivery.tries <= self.config.max_tries]
        if not fresh:
            return
        try:
            handled = await self.until_done(lambda: self.handle(fresh))
        except Exception:  # whatever a message provokes, the others must get through
            logger.warning(
                "A batch of %d messages failed; trying one by one", len(fresh), exc_info=True
            )
            for delivery in fresh:
                if not self.stop.is_set():
                    await self._alone(delivery)
        else:
            if handled:
                await self.until_done(lambda: self.bus.ack(fresh))

    async def _alone(self, delivery: Delivery) -> None:
        tries = delivery.tries
        while True:
            try:
                handled = await self.until_done(lambda: self.handle([delivery]))
            except Exception as error:  # noqa: BLE001  # goes to the dead letters with the message
                if tries >= self.config.max_tries:
                    await self._bury(delivery, f"{type(error).__name__}: {error}")
                    return
                await self._sleep(self.config.backoff(tries))
                if self.stop.is_set():
                    return
                tries += 1
            else:
                if handled:
                    await self.until_done(lambda: self.bus.ack([delivery]))
                return

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
