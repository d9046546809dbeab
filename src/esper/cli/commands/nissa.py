"""`esper nissa`: watches runs and services, and answers what is asked about them."""

from __future__ import annotations

from typing import Annotated

import typer

from esper.cli.help import examples
from esper.cli.late import carry_out
from esper.cli.platform_requests import NissaServeRequest

app = typer.Typer(
    help="Watch runs and services: run store, metrics, alerts, dashboard.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

SERVE_EXAMPLES = examples(
    "esper nissa serve",
    "esper nissa serve --redis redis://127.0.0.1:6379/0",
    "ESPER_NISSA_TOKEN_FILE=token esper nissa serve --host 0.0.0.0",
)


@app.callback()
def main() -> None:
    """Watch runs and services: run store, metrics, alerts, dashboard."""


@app.command(name="serve", epilog=SERVE_EXAMPLES)
def serve(
    context: typer.Context,
    host: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Address to listen on; default: 127.0.0.1."),
    ] = None,
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
    request = NissaServeRequest(host=host, port=port, store=store, redis=redis, dashboard=dashboard)
    carry_out(context, "nissa_serve", request)
