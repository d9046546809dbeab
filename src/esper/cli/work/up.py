"""Runs a platform on this machine."""

from __future__ import annotations

import signal
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path
from types import FrameType

from rich.text import Text

from esper.cli.console import diagnostics, output
from esper.cli.exit_codes import ExitCode
from esper.cli.platform_requests import UpRequest
from esper.cli.work.status import services_table
from esper.hosting.discovery import Platform
from esper.hosting.hosting_config import HostingConfig
from esper.hosting.platform import host
from esper.hosting.platform_plan import Plan
from esper.utils import extras
from esper.utils.home import data_home
from esper.utils.logging import setup_logging
from esper.utils.stop import Flag


def run(request: UpRequest) -> int:
    """Carry out `esper up`; returns when it was told to stop and all services have ended.

    Raises:
        ConfigError: a setting is wrong.
        PlatformError: a platform runs already, a port is taken, or a service does not come up.
    """
    home = data_home()
    given = {name: value for name, value in asdict(request).items() if value is not None}
    config = HostingConfig(**{"folder": home, **given})
    setup_logging("platform")
    stop, hurry = Flag(), Flag()

    def told(number: int, frame: FrameType | None) -> None:
        (hurry if stop.is_set() else stop).set()

    for word in (signal.SIGTERM, signal.SIGINT):
        signal.signal(word, told)
    host(config, home, stop, hurry, issue_tokens=_issue_tokens, planned=_say_plan, ready=_say_ready)
    return ExitCode.OK


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
    extras.load("esper.cli.work.platform_tokens", extra="platform").issue_tokens(folder)


def _say_plan(plan: Plan) -> None:
    names = ", ".join(service.name for service in plan.services)
    console = diagnostics()
    console.print(Text(f"starting {names}; bus: {plan.bus}", style="quiet"), soft_wrap=True)


def _say_ready(platform: Platform) -> None:
    console = output()
    console.print(services_table(platform.services))
    line = Text.assemble(("dashboard: ", "quiet"), (platform.nissa_url, "name"))
    console.print(line, soft_wrap=True)
    console.print(
        Text("`esper train` finds it by itself; Ctrl-C stops it", style="quiet"), soft_wrap=True
    )
