"""Shows how the platform on this machine is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from rich import box
from rich.table import Table
from rich.text import Text

from esper.cli.console import diagnostics, output, print_notice
from esper.cli.exit_codes import ExitCode
from esper.cli.platform_requests import StatusRequest
from esper.hosting.discovery import ServiceRecord, find
from esper.hosting.platform_status import current
from esper.hosting.service_lifecycle import ServiceState


def run(request: StatusRequest) -> int:
    """Carry out `esper status`; the exit status says whether all services are ready."""
    platform = find()
    if platform is None:
        print_notice(diagnostics(), "no platform runs here; `esper up` starts one")
        return ExitCode.FAILED
    records = current(platform)
    if request.as_json:
        shown = platform.model_copy(update={"services": records})
        # Without the URLs that may hold a password.
        output().print_json(shown.model_dump_json(exclude={"bus_url", "store_url"}))
    else:
        console = output()
        console.print(services_table(records))
        began = f"{platform.started_at.astimezone():%F %R}"
        console.print(
            Text(f"since {began}, process {platform.pid}, data in {platform.folder}", "quiet"),
            soft_wrap=True,
        )
    ready = all(record.state is ServiceState.READY for record in records)
    return ExitCode.OK if ready else ExitCode.FAILED


def services_table(records: Sequence[ServiceRecord]) -> Table:
    """One row for each service."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("service", "state", "address", "process", "restarts", "since"):
        numeric = heading in {"process", "restarts"}
        table.add_column(heading, justify="right" if numeric else "left", no_wrap=True)
    for record in records:
        ready = record.state is ServiceState.READY
        table.add_row(
            record.name,
            Text(record.state.value, style="good" if ready else "bad"),
            record.address,
            "" if record.pid is None else str(record.pid),
            str(record.restarts),
            _since(record.since),
        )
    return table


def _since(moment: datetime) -> str:
    here = moment.astimezone()
    today = here.date() == datetime.now().astimezone().date()
    return f"{here:%T}" if today else f"{here:%F %R}"
