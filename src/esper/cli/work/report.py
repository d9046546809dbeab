"""Writes a run's report again, and sends a library what the run still has for it."""

from __future__ import annotations

from rich.text import Text

from esper import bootstrap
from esper.cli.console import diagnostics, output, print_notice
from esper.cli.exit_codes import ExitCode
from esper.cli.library_news import delivered
from esper.cli.requests import ReportRequest
from esper.report.write import write_report


def run(request: ReportRequest) -> int:
    """Carry out `esper report`.

    Raises:
        RunFolderError: the folder is not that of a finished run.
        ConfigError: something is to be sent, and nobody says where to.
    """
    written = write_report(request.folder)
    console = output()
    console.print(Text(written.story.headline, style="figure"))
    for path in (written.page, *written.pictures):
        console.print(Text(str(path), style="name"), soft_wrap=True)
    return _send(request) if request.send else ExitCode.OK


def _send(request: ReportRequest) -> int:
    delivery = bootstrap.send(request.folder, request.urza)
    print_notice(diagnostics(), delivered(delivery))
    return ExitCode.OK if not delivery.left else ExitCode.FAILED
