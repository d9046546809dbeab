"""Serves what Nissa knows, and watches the bus beside it."""

from __future__ import annotations

import os

from esper.cli.console import output
from esper.cli.exit_codes import ExitCode
from esper.cli.platform_requests import NissaServeRequest
from esper.contracts.enums import ComponentName
from esper.hosting.presence import presence
from esper.services.nissa.alerts.alert_config import AlertConfig
from esper.services.nissa.nissa_config import NissaConfig
from esper.services.nissa.nissa_metrics import ObserverMetrics
from esper.services.nissa.nissa_serve import Mount, serve
from esper.services.nissa.observer import observing
from esper.services.oona.consumer import run_consumer
from esper.utils import extras
from esper.utils.bus_address import bus_url
from esper.utils.logging import setup_logging


def run(request: NissaServeRequest) -> int:
    """Carry out `esper nissa serve`; returns when the server has been told to stop and has drained.

    Raises:
        ConfigError: a setting is wrong, or the runs would be open to strangers.
        RunStoreError: the run store cannot be opened.
        PlatformError: the port is taken.
    """
    config = NissaConfig.from_environment(
        os.environ, host=request.host, port=request.port, store=request.store
    )
    alerts = AlertConfig.from_environment(os.environ)
    setup_logging("nissa")
    metrics = ObserverMetrics()
    watch = observing(
        config.store,
        run_consumer,
        alerts=alerts,
        metrics=metrics,
        webhook=config.webhook,
        platform=True,
    )
    bus = request.redis or bus_url(os.environ)
    with presence(bus, ComponentName.NISSA, f"nissa-{config.port}", also=[watch]):
        serve(
            config,
            metrics=metrics,
            mount=_dashboard() if request.dashboard else None,
            # On standard output, so that a script can read which port it became.
            started=lambda url: output().print(url, soft_wrap=True),
        )
    return ExitCode.OK


def _dashboard() -> Mount:
    mount: Mount = extras.load("esper.dashboard.mount", extra="dashboard").mount
    return mount
