"""`esper status`: how the platform on this machine is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from rich.console import Console

from esper.cli.console import Row, diagnostics, output, print_json, print_notice, print_rows, say
from esper.cli.exit_codes import ExitCode
from esper.cli.noun import Noun
from esper.cli.options import AsJson
from esper.hosting.discovery import ServiceRecord, find
from esper.hosting.platform import current
from esper.hosting.service import ServiceState

NOUN = Noun()


@NOUN.command("status", "esper status", "esper status --json")
def status(*, as_json: AsJson = False) -> int:
    """Show what runs here and how it is; exit code 1 unless all of it is ready."""
    platform = find()
    if platform is None:
        print_notice(diagnostics(), "no platform runs here; `esper up` starts one")
        return ExitCode.FAILED
    records, console = current(platform), output()
    if as_json:
        shown = platform.model_copy(update={"services": records})
        # Without the URLs that may hold a password.
        print_json(console, shown.model_dump(mode="json", exclude={"bus_url", "store_url"}))
    else:
        print_services(console, records)
        began = f"{platform.started_at.astimezone():%F %R}"
        line = f"since {began}, process {platform.pid}, data in {platform.folder}"
        say(console, (line, "quiet"))
    ready = all(record.state is ServiceState.READY for record in records)
    return ExitCode.OK if ready else ExitCode.FAILED


def print_services(console: Console, records: Sequence[ServiceRecord]) -> None:
    """Print one row for each service."""
    rows: Iterable[Row] = (
        {
            "service": record.name,
            "state": (record.state.value, "good" if record.state is ServiceState.READY else "bad"),
            "address": record.address,
            "process": "" if record.pid is None else str(record.pid),
            "restarts": str(record.restarts),
            "since": _since(record.since),
        }
        for record in records
    )
    print_rows(console, rows, right=("process", "restarts"))


def _since(moment: datetime) -> str:
    here = moment.astimezone()
    today = here.date() == datetime.now().astimezone().date()
    return f"{here:%T}" if today else f"{here:%F %R}"
