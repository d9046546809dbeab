"""Runs a platform on this machine."""

from __future__ import annotations

import logging
import signal
from dataclasses import asdict
from pathlib import Path
from types import FrameType

from rich.text import Text

from esper.cli.console import diagnostics
from esper.cli.console import output
from esper.cli.exit_codes import ExitCode
from esper.cli.platform_requests import UpRequest
from esper.cli.work.local_library import LOCAL
from esper.cli.work.local_library import with_library
from esper.cli.work.status import services_table
from esper.contracts.enums import Role
from esper.contracts.errors import AccessDeniedError
from esper.contracts.library import TokenRequest
from esper.hosting.config import HostingConfig
from esper.hosting.discovery import Platform
from esper.hosting.plan import Plan
from esper.hosting.plan import forge_token
from esper.hosting.plan import trainer_token
from esper.hosting.platform import host
from esper.hosting.private_file import write_private
from esper.services.urza.library import Library
from esper.utils.home import data_home
from esper.utils.logging import setup_logging
from esper.utils.stop import Flag

_TOKEN_DAYS = 3650.0
"""Longer than any platform runs: a token that ends would end its work. `token revoke` takes it."""


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
    logging.getLogger("alembic").setLevel(logging.WARNING)  # a new library's tables: no news
    stop, hurry = Flag(), Flag()

    def told(number: int, frame: FrameType | None) -> None:
        (hurry if stop.is_set() else stop).set()

    for word in (signal.SIGTERM, signal.SIGINT):
        signal.signal(word, told)
    host(config, home, stop, hurry, issue_tokens=issue_tokens, planned=_say_plan, ready=_say_ready)
    return ExitCode.OK


def issue_tokens(folder: Path) -> None:
    """Make the tokens that the library does not know, or no longer.

    Raises:
        LibraryError: the library's stores cannot be reached.
        PlatformError: a token cannot be written down.
    """
    wanted = {
        # It submits what trainers ask for over the bus, and builds it.
        forge_token(folder): (Role.COMPILER, Role.TRAINER),
        trainer_token(folder): (Role.TRAINER,),
    }
    kept = {path: path.read_text(encoding="utf-8") if path.exists() else "" for path in wanted}

    async def issued(library: Library) -> None:
        for path, roles in wanted.items():
            if not await _is_valid(library, kept[path]):
                name = path.stem
                request = TokenRequest(name=name, roles=roles, days=_TOKEN_DAYS)
                token = await library.tokens.issue(LOCAL, request)
                write_private(path, token.secret)

    with_library(folder / "urza", issued)


async def _is_valid(library: Library, secret: str) -> bool:
    try:
        await library.tokens.authenticate(secret.strip())
    except AccessDeniedError:
        return False
    return True


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
