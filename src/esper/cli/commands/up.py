"""`esper up`: the whole platform on one machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from esper.cli.help import examples
from esper.cli.late import carry_out
from esper.cli.platform_requests import UpRequest

EXAMPLES = examples(
    "esper up",
    "esper up --workers 4 --folder platform",
    "esper up --bus redis://127.0.0.1:6379/0",
    "esper train --quick-start mnist1d    # in another terminal: is watched, can be controlled",
)

_PORTS = "Where services answer; 0 takes a free port"


def up(
    context: typer.Context,
    folder: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Data, logs and secrets of the platform; default: $ESPER_HOME, or the user's "
            "data folder.",
        ),
    ] = None,
    bus: Annotated[
        str | None,
        typer.Option(
            metavar="auto|valkey|in-process|URL",
            help="Start a Valkey server (auto: where it is installed), use the server at "
            "redis://…, or let runs be watched only.",
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=0, help="Kernels that are built at the same time; default: 1; 0 runs no forge."
        ),
    ] = None,
    urza_port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Library; default: 8420.", rich_help_panel=_PORTS),
    ] = None,
    nissa_port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, help="Observer and dashboard; default: 8430.", rich_help_panel=_PORTS
        ),
    ] = None,
    tezzeret_port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, help="Probes of the forge; default: 8440.", rich_help_panel=_PORTS
        ),
    ] = None,
    bus_port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, help="Valkey server; default: 8450.", rich_help_panel=_PORTS
        ),
    ] = None,
) -> None:
    """Run library, forge, observer, dashboard and bus until Ctrl-C; `esper train` finds them."""
    request = UpRequest(
        folder=folder,
        bus=bus,
        workers=workers,
        urza_port=urza_port,
        nissa_port=nissa_port,
        tezzeret_port=tezzeret_port,
        bus_port=bus_port,
    )
    carry_out(context, "up", request)
