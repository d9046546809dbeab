"""Runs a forge."""

from __future__ import annotations

import logging
import signal
from contextlib import ExitStack
from types import FrameType

from esper import bootstrap
from esper.cli.console import output
from esper.cli.exit_codes import ExitCode
from esper.cli.forge_requests import TezzeretRunRequest
from esper.cli.work.forge_settings import settings
from esper.services.tezzeret.forge_metrics import ForgeMetrics
from esper.utils.logging import setup_logging
from esper.utils.stop import Flag
from esper.web.probe_server import ProbeServer


def run(request: TezzeretRunRequest) -> int:
    """Carry out `esper tezzeret run`; returns when it has been told to stop and has drained.

    Raises:
        ConfigError: no library is named, or a setting is out of range.
        AccessDeniedError: the library does not let the forge in.
        PlatformError: the port of the probes is taken.
    """
    config = settings(
        request.targets,
        request.limits,
        workers=request.workers,
        name=request.name,
        drain_seconds=request.drain_seconds,
    )
    setup_logging("tezzeret")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # a line for every request is noise
    stop = Flag()

    def told(number: int, frame: FrameType | None) -> None:
        stop.set()

    for word in (signal.SIGTERM, signal.SIGINT):
        signal.signal(word, told)
    with ExitStack() as stack:
        supervisor = stack.enter_context(bootstrap.forge(config, request.urza))
        if request.probe_port is not None:
            metrics = ForgeMetrics(
                wanted=config.workers, alive=supervisor.alive, starts=lambda: supervisor.starts
            )
            probes = ProbeServer(
                request.probe_port,
                is_ready=lambda: supervisor.is_ready() and not stop.is_set(),
                metrics=metrics.text,
            )
            stack.enter_context(probes)
            output().print(probes.url, soft_wrap=True)
        supervisor.run(stop)
    return ExitCode.OK
