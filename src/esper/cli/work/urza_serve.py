"""Serves a library."""

from __future__ import annotations

import os

from esper.cli.console import output
from esper.cli.exit_codes import ExitCode
from esper.cli.library_requests import UrzaServeRequest
from esper.cli.work.local_library import settings
from esper.contracts.enums import ComponentName
from esper.hosting.presence import presence
from esper.services.urza.urza_serve import serve
from esper.utils.bus_address import bus_url
from esper.utils.logging import setup_logging


def run(request: UrzaServeRequest) -> int:
    """Carry out `esper urza serve`; returns when the server has been told to stop and has drained.

    Raises:
        ConfigError: a setting is wrong, or the library would be open to strangers.
        LibraryUnavailableError: its stores cannot be reached, or the port is taken.
    """
    config = settings(request.folder, host=request.host, port=request.port)
    setup_logging("urza")
    with presence(bus_url(os.environ), ComponentName.URZA, f"urza-{config.port}"):
        # On standard output, so that a script can read which port it became.
        serve(config, started=lambda url: output().print(url, soft_wrap=True))
    return ExitCode.OK
