"""`esper nissa`: watches runs and services, and answers what is asked about them."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from esper.cli.console import output, say
from esper.cli.lazy import later
from esper.cli.noun import Noun
from esper.cli.options import Address
from esper.contracts.enums import ComponentName
from esper.utils import extras
from esper.utils.bus_address import bus_url
from esper.utils.logging import setup_logging

with later():
    from esper.hosting import presence
    from esper.services.nissa import nissa_config, nissa_metrics, nissa_serve, observer
    from esper.services.nissa.alerts import alert_config
    from esper.services.oona import consumer

NOUN = Noun("Watch runs and services: run store, metrics, alerts, dashboard.", extra="nissa")


@NOUN.command(
    "serve",
    "esper nissa serve",
    "esper nissa serve --redis redis://127.0.0.1:6379/0",
    "ESPER_NISSA_TOKEN_FILE=token esper nissa serve --host 0.0.0.0",
)
def serve(
    *,
    host: Address = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Default: 8430; 0 takes a free one.")
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Run store; default: your own, where training writes."),
    ] = None,
    redis: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="The bus: redis://… or valkey://…; default: ESPER_REDIS_URL. Without one, only "
            "what is in the run store is shown.",
        ),
    ] = None,
    dashboard: Annotated[
        bool, typer.Option("--dashboard/--no-dashboard", help="Serve the dashboard as well.")
    ] = True,
) -> None:
    """Serve until SIGTERM or Ctrl-C; settings come from ESPER_NISSA_<SETTING>."""
    config = nissa_config.NissaConfig.from_environment(
        os.environ, host=host, port=port, store=store
    )
    alerts = alert_config.AlertConfig.from_environment(os.environ)
    setup_logging("nissa")
    metrics = nissa_metrics.ObserverMetrics()
    watch = observer.observing(
        config.store,
        consumer.run_consumer,
        alerts=alerts,
        metrics=metrics,
        webhook=config.webhook,
        platform=True,
    )
    mount = None
    if dashboard:
        mount = extras.load("esper.dashboard.mount", extra="dashboard").mount
    bus = redis or bus_url(os.environ)
    name = f"nissa-{config.port}"
    with presence.presence(bus, ComponentName.NISSA, name, also=[watch]):
        # On standard output, so that a script can read which port it became.
        nissa_serve.serve(
            config, metrics=metrics, mount=mount, started=lambda url: say(output(), url)
        )
