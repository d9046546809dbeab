"""`esper up`: the whole platform on one machine."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated

import typer

from esper.cli.console import diagnostics, output, print_notice, say
from esper.cli.lazy import later
from esper.cli.noun import Noun
from esper.cli.options import refuse, typed
from esper.cli.status import print_services
from esper.configs import EsperConfig
from esper.hosting.discovery import Platform
from esper.utils.home import data_home
from esper.utils.logging import setup_logging
from esper.utils.stop import Flag, set_at_signals

with later():
    from esper.cli import local_library
    from esper.hosting import hosting_config, platform, platform_config, platform_plan

NOUN = Noun(extra="platform")

_port = partial(
    typer.Option, min=0, max=65535, rich_help_panel="Where services answer; 0 takes a free port"
)


@NOUN.command(
    "up",
    "esper up",
    "esper up --workers 4 --folder platform",
    "esper up --config configs/platform.yaml",
    "esper up --bus redis://127.0.0.1:6379/0",
    "esper train --quick-start mnist1d    # in another terminal: is watched, can be controlled",
)
def up(
    *,
    file: Annotated[Path | None, typer.Option("--config", "-c", metavar="FILE")] = None,
    folder: Annotated[Path | None, typer.Option(metavar="DIR")] = None,
    bus: Annotated[str | None, typer.Option(metavar="auto|valkey|in-process|URL")] = None,
    workers: Annotated[int | None, typer.Option(min=0)] = None,
    urza_port: Annotated[int | None, _port()] = None,
    nissa_port: Annotated[int | None, _port()] = None,
    tezzeret_port: Annotated[int | None, _port()] = None,
    bus_port: Annotated[int | None, _port()] = None,
) -> None:
    """Run library, forge, observer, dashboard and bus until Ctrl-C; `esper train` finds them.

    Options:
        file: The platform as YAML (EsperConfig); ${NAME} stands for the environment variable NAME.
            Options come before it, and it comes before environment variables.
        folder: Data, logs and secrets of the platform; default: $ESPER_HOME, or the user's data
            folder.
        bus: Start a Valkey server (auto: where it is installed), use the server at redis://…, or
            let runs be watched only.
        workers: Kernels that are built at the same time; default: 1; 0 runs no forge.
        urza_port: Library; default: 8420.
        nissa_port: Observer and dashboard; default: 8430.
        tezzeret_port: Probes of the forge; default: 8440.
        bus_port: Valkey server; default: 8450.
    """
    if bus not in {None, "auto", "valkey"}:
        refuse("--bus starts no server here", bus_port=bus_port)
    if workers == 0:
        refuse("--workers 0 runs no forge", tezzeret_port=tezzeret_port)
    home = data_home()
    ports = typed(
        urza_port=urza_port, nissa_port=nissa_port, tezzeret_port=tezzeret_port, bus_port=bus_port
    )
    given = typed(bus=bus, workers=workers, **ports)
    read = None
    if file is not None:
        read = platform_config.platform_config(EsperConfig.from_yaml(file), folder or home)
        given = {**read.hosting, **given}
    config = hosting_config.HostingConfig(folder=folder or home, **given)
    if read is not None:
        os.environ.update(read.variables)  # its services inherit them
        for key in read.unused:
            print_notice(diagnostics(), f"{file}: {key} says nothing to a platform on one machine")
    setup_logging("platform")
    stop, hurry = Flag(), Flag()
    set_at_signals(stop, hurry)
    platform.host(
        config, home, stop, hurry, issue_tokens=_issue_tokens, planned=_say_plan, ready=_say_ready
    )


def _issue_tokens(folder: Path) -> None:
    # In a process of its own: what it takes to open a library would stay in this one's memory.
    with ProcessPoolExecutor(
        1,
        mp_context=get_context("spawn"),
        # Ctrl-C goes to the whole group; the answer to it is this process's.
        initializer=signal.signal,
        initargs=(signal.SIGINT, signal.SIG_IGN),
    ) as apart:
        apart.submit(_issue_here, folder).result()


def _issue_here(folder: Path) -> None:
    local_library.issue_tokens(folder)


def _say_plan(plan: platform_plan.Plan) -> None:
    names = ", ".join(service.name for service in plan.services)
    say(diagnostics(), (f"starting {names}; bus: {plan.bus}", "quiet"))


def _say_ready(running: Platform) -> None:
    console = output()
    print_services(console, running.services)
    say(console, ("dashboard: ", "quiet"), (running.nissa_url, "name"))
    say(console, ("`esper train` finds it by itself; Ctrl-C stops it", "quiet"))
