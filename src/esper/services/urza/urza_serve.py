"""serve: runs the library as a server until it is told to stop, and then stops in order.

At SIGTERM (or Ctrl+C) `/readyz` answers 503 at once, no new connection is taken, what is being
answered is finished within `drain_seconds`, and the store is closed. A second signal ends it now.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from esper.contracts.errors import LibraryUnavailableError
from esper.contracts.ports import Clock
from esper.services.urza.access import check_exposure
from esper.services.urza.kernel_library import Library
from esper.services.urza.urza_app import create_app
from esper.services.urza.urza_config import UrzaConfig
from esper.utils.clock import SystemClock
from esper.utils.spans import open_spans
from esper.web.draining import DrainingServer


def serve(config: UrzaConfig, *, started: Callable[[str], None] | None = None) -> None:
    """Serve the library until SIGTERM or SIGINT.

    Args:
        config: The settings.
        started: Is told the server's URL once it takes requests.

    Raises:
        ConfigError: The settings would let strangers in.
        LibraryError: The store cannot be opened.
        LibraryUnavailableError: The port is taken.
    """
    check_exposure(config.host, config.auth)
    asyncio.run(_serve(config, SystemClock(), started))


async def _serve(config: UrzaConfig, clock: Clock, started: Callable[[str], None] | None) -> None:
    library = await Library.open(config, clock)
    spans = open_spans("esper-urza")
    try:
        app = create_app(library, config, clock=clock, spans=spans)
        server = DrainingServer(
            app,
            app.state.urza,
            name="urza",
            host=config.host,
            port=config.port,
            drain_seconds=config.drain_seconds,
            unavailable=LibraryUnavailableError,
            started=started,
        )
        await server.serve()
    finally:
        await library.close()
        if spans is not None:
            spans.close()
