"""presence: a service's way onto the platform's bus, with its signs of life; followed: a run's.

A training run is followed over a platform's bus, or within its own process.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from esper.contracts.enums import ComponentName
from esper.contracts.errors import ConfigError
from esper.contracts.ports import Publisher
from esper.services.oona.bus_config import OonaConfig
from esper.services.oona.consumer import run_consumer
from esper.services.oona.link import Companion, Link
from esper.services.oona.open import check_url, open_bus
from esper.utils.extras import load
from esper.utils.heartbeat import Details, heartbeat


@contextmanager
def presence(
    url: str | None,
    component: ComponentName,
    name: str,
    details: Details = dict,
    *,
    also: Sequence[Companion] = (),
) -> Iterator[Publisher | None]:
    """Be on the bus for as long as the block lasts; without a bus do nothing.

    A bus that cannot be reached, now or later, is no error: the service works, unheard.

    Args:
        url: Of the bus's server; None where there is none.
        component: What the service is.
        name: Which one on this machine: unique among those of its kind, the same after a restart.
        details: Figures of its own, for its signs of life.
        also: What else listens on the bus, beside the service's own work.

    Yields:
        What the service publishes with; None without a bus.

    Raises:
        ConfigError: The URL is none, or the extra `oona` is not installed.
    """
    if url is None:
        yield None
        return
    check_url(url)
    instance = f"{name}@{socket.gethostname()}"
    beat = heartbeat(component, instance, details=details)
    link = Link(
        partial(open_bus, url), sender_id=f"{component.value}/{instance}", also=[beat, *also]
    )
    try:
        yield link
    finally:
        link.close()


logger = logging.getLogger(__name__)

_OBSERVER: Final = "esper.services.nissa.observer"
_LINGER_SECONDS: Final = 1.0
"""How long lines are gathered for an observer in this process, whose every batch is a transaction
beside the training thread: what happened is in the store little more than a second later."""


@contextmanager
def followed(
    folder: Path,
    *,
    bus: str | None,
    store: str | None,
    details: Details = dict,
    also: Sequence[Companion] = (),
) -> Iterator[Publisher | None]:
    """Have a run followed for as long as the block lasts; whatever happens out there, it goes on.

    With a bus the run's lines go there, and commands come from there. Without one an observer in
    this process puts the lines into the run store, if what it needs is installed.

    Args:
        folder: Of the run; named where lines could not be sent.
        bus: URL of a Redis or Valkey server.
        store: URL of the run store of an observer in this process; None is this user's own.
        details: Figures of the trainer, for its signs of life.
        also: What listens on the bus beside the run.

    Yields:
        What the run publishes with; None where nobody follows.

    Raises:
        ConfigError: The URL is none, or what it needs is not installed.
    """
    if bus is not None:
        name = str(os.getpid())
        with presence(bus, ComponentName.TOLARIA, name, details, also=also) as publisher:
            yield publisher
        _say_what_is_missing(publisher, folder)
        return
    observer = _observer(store)
    if observer is None:
        yield None
        return
    sender = f"{ComponentName.TOLARIA.value}/{os.getpid()}@{socket.gethostname()}"
    config = OonaConfig(linger_seconds=_LINGER_SECONDS)
    link = Link(partial(open_bus, None), sender_id=sender, config=config, also=[observer])
    try:
        yield link
    finally:
        link.close()
        _say_what_is_missing(link, folder)


def _observer(store: str | None) -> Companion | None:
    """Nissa's observer as a companion; None where it is not installed and nobody asked for it."""
    try:
        observing = load(_OBSERVER, extra="nissa").observing
    except ConfigError:
        if store is not None:
            raise
        return None
    observe: Companion = observing(store, run_consumer)
    return observe


def _say_what_is_missing(publisher: Publisher | None, folder: Path) -> None:
    missing = 0 if publisher is None else sum(publisher.dropped.values())
    if missing:
        logger.warning(
            "%d messages of the run reached nobody; the run itself has everything. Once the run "
            "store can be reached: esper runs import %s",
            missing,
            folder,
        )
