"""presence: a service's way onto the platform's bus, with its signs of life."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from esper.contracts.enums import ComponentName
from esper.contracts.ports import Publisher
from esper.services.oona.link import Companion, Link
from esper.services.oona.open import check_url, open_bus
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
