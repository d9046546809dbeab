"""A forge, joined to the library that it works for and to the bus; none of it imports torch."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from esper.contracts.assets import Blueprint
from esper.contracts.enums import ComponentName, TopicNames
from esper.contracts.errors import LibraryUnavailableError
from esper.contracts.messages import RequestBlueprint
from esper.contracts.ports import Bus, Delivery, Publisher
from esper.hosting.bus_access import bus_url
from esper.hosting.presence import presence
from esper.services.oona.consumer import run_consumer
from esper.services.oona.link import Companion
from esper.services.tezzeret.forge_config import TezzeretConfig
from esper.services.urza.client.client_config import ClientConfig
from esper.utils import extras
from esper.utils.logging import get_logger
from esper.utils.spans import parse_traceparent, within

if TYPE_CHECKING:
    # At run time they need psutil and httpx, which an installation without a forge does not have.
    from esper.services.tezzeret.supervisor import Supervisor
    from esper.services.urza.client.urza_client import AsyncUrzaClient

logger = get_logger("tezzeret.requests")


@contextmanager
def forge(
    config: TezzeretConfig, url: str | None = None, token: str | None = None
) -> Iterator[Supervisor]:
    """A forge that works for a library; its workers connect in processes of their own.

    Where `ESPER_REDIS_URL` or the file of `ESPER_REDIS_URL_FILE` names a bus, the forge tells of
    its builds there, and gives the library the blueprints that are asked for.

    Args:
        config: Number of workers, targets, limits.
        url: Where the library is; default `ESPER_URZA_URL`.
        token: What it issued; default `ESPER_URZA_TOKEN`, or what the file holds that
            `ESPER_URZA_TOKEN_FILE` names.

    Yields:
        What runs it. Leave the block when it has ended.

    Raises:
        ConfigError: No address is given, or the forge's packages are not installed.
    """
    # All are looked at here, so that what is wrong is told once and not by every worker.
    reached = ClientConfig.from_environment(os.environ, url=url, token=token)
    bus = bus_url(os.environ)
    clients = extras.load("esper.services.urza.client.urza_client")
    supervisor = extras.load("esper.services.tezzeret.supervisor").Supervisor
    join = partial(presence, bus, ComponentName.TEZZERET)
    made: Supervisor = supervisor(config, partial(clients.UrzaClient, config=reached), join=join)
    asking = partial(clients.AsyncUrzaClient, config=reached)
    also = [_taking_requests(asking, config.name)]
    with presence(bus, ComponentName.TEZZERET, config.name, made.details, also=also):
        yield made


async def submit_requests(
    submit: Callable[[Blueprint], Awaitable[object]], deliveries: Sequence[Delivery]
) -> None:
    """Give the library the blueprints that are asked for.

    Args:
        submit: Gives one; doing so again changes nothing, so a request that arrives twice is carried
            out once.
        deliveries: Of `RequestBlueprint`.
    """
    for delivery in deliveries:
        request = RequestBlueprint.model_validate(delivery.message.payload)
        with within(parse_traceparent(delivery.message.traceparent)):
            await submit(request.blueprint)
        name, asked_by = request.blueprint.name, request.requested_by
        logger.info("submitted", blueprint=name, requested_by=asked_by)


def _taking_requests(asking: Callable[[], AsyncUrzaClient], name: str) -> Companion:
    async def listen(bus: Bus, publisher: Publisher, stop: asyncio.Event) -> None:
        async with asking() as library:
            await run_consumer(
                bus,
                [TopicNames.INNOVATION_BLUEPRINT_REQUESTS],
                group="tezzeret",
                consumer=f"{name}@{socket.gethostname()}",
                handle=partial(submit_requests, library.submit),
                stop=stop,
                transient=(OSError, LibraryUnavailableError),
            )

    return listen
