"""`esper nissa`: watches runs and services, and answers what is asked about them."""

from __future__ import annotations

import asyncio
import getpass
import os
from collections.abc import Sequence
from functools import partial
from typing import Annotated

import typer
from rich.console import Console

from esper.cli.console import diagnostics, output, print_each, print_notice, say
from esper.cli.lazy import later
from esper.cli.noun import Noun
from esper.cli.options import Address, AsJson, Store
from esper.cli.run_stores import has_none_yet, open_store
from esper.contracts.base import as_name
from esper.contracts.enums import ComponentName
from esper.contracts.platform_events import Alert
from esper.hosting.bus_access import bus_url
from esper.utils import extras
from esper.utils.logging import setup_logging

with later():
    from esper.hosting import presence
    from esper.services.nissa import nissa_app, nissa_config, nissa_metrics, observer
    from esper.services.nissa.alerts import alert_config
    from esper.services.oona import consumer

NOUN = Noun(is_group=True, extra="nissa")


@NOUN.command(
    "serve",
    "esper nissa serve",
    "esper nissa serve --redis redis://127.0.0.1:6379/0",
    "ESPER_NISSA_TOKEN_FILE=token esper nissa serve --host 0.0.0.0",
)
def serve(
    *,
    host: Address = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535)] = None,
    store: Annotated[str | None, typer.Option(metavar="URL")] = None,
    redis: Annotated[str | None, typer.Option(metavar="URL")] = None,
    dashboard: Annotated[bool, typer.Option("--dashboard/--no-dashboard")] = True,
) -> None:
    """Serve until SIGTERM or Ctrl-C; settings come from ESPER_NISSA_<SETTING>.

    Options:
        port: Default: 8430; 0 takes a free one.
        store: Run store; default: your own, where training writes.
        redis: The bus: redis://… or valkey://…; default: ESPER_REDIS_URL. Without one, only what is
            in the run store is shown.
        dashboard: Serve the dashboard as well.
    """
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
        started = partial(say, output())
        asyncio.run(nissa_app.serve(config, metrics=metrics, mount=mount, started=started))


@NOUN.command("alerts", "esper nissa alerts", "esper nissa alerts --all --json")
async def list_alerts(
    *,
    everything: Annotated[bool, typer.Option("--all")] = False,
    store: Store = None,
    as_json: AsJson = False,
) -> None:
    """List alerts that last and that nobody has acknowledged, the newest first.

    Options:
        everything: Those that are over and those that were seen, too.
    """
    found: Sequence[Alert] = ()
    if not has_none_yet(store):
        async with open_store(store) as opened:
            found = await opened.alerts(open_only=not everything)
    if not everything:
        found = [alert for alert in found if alert.acknowledged is None]
    if not found and not as_json:
        print_notice(diagnostics(), "no alerts")
    print_each(found, _print_alert, as_json=as_json)


def _print_alert(console: Console, alert: Alert) -> None:
    place = "" if alert.run_id is None else f" of run {alert.run_id}"
    seen = "" if alert.acknowledged is None else f", seen by {alert.acknowledged.by}"
    over = "" if alert.ended_at is None else f", over at {alert.ended_at:%F %T}"
    say(console, f"{alert.alert_id}  {alert.severity.value} {alert.rule.value}{place}")
    say(console, f"  {alert.raised_at:%F %T}{over}{seen}: {alert.message}")
    say(console, f"  {alert.rule.runbook}")


@NOUN.command("acknowledge", "esper nissa acknowledge 0c4be1a2 --by ada")
async def acknowledge(
    alert: Annotated[str, typer.Argument(metavar="ALERT")],
    *,
    by: Annotated[str | None, typer.Option(metavar="NAME")] = None,
    store: Store = None,
) -> None:
    """Say that you have seen an alert. It stays open until it is over.

    Options:
        alert: Id of the alert.
        by: Who has seen it; default: you.
    """
    who = as_name(by or getpass.getuser())
    async with open_store(store) as opened:
        seen = await opened.acknowledge(alert, who)
    assert seen.acknowledged is not None
    at = f"{seen.acknowledged.at:%F %T}"
    say(output(), f"{seen.rule.value} {seen.subject}: seen by {seen.acknowledged.by} at {at}")
