"""Runs a forge."""

from __future__ import annotations

import signal
from types import FrameType

from esper import bootstrap
from esper.cli.exit_codes import ExitCode
from esper.cli.forge_requests import TezzeretRunRequest
from esper.cli.work.forge_settings import settings
from esper.utils.logging import setup_logging
from esper.utils.stop import Flag


def run(request: TezzeretRunRequest) -> int:
    """Carry out `esper tezzeret run`; returns when it has been told to stop and has drained.

    Raises:
        ConfigError: no library is named, or a setting is out of range.
        AccessDeniedError: the library does not let the forge in.
    """
    config = settings(
        request.targets,
        request.limits,
        workers=request.workers,
        name=request.name,
        drain_seconds=request.drain_seconds,
    )
    supervisor = bootstrap.forge(config, request.urza)
    setup_logging("tezzeret")
    stop = Flag()

    def told(number: int, frame: FrameType | None) -> None:
        stop.set()

    for word in (signal.SIGTERM, signal.SIGINT):
        signal.signal(word, told)
    supervisor.run(stop)
    return ExitCode.OK
