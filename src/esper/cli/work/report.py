"""Writes a run's report again."""

from __future__ import annotations

from rich.text import Text

from esper.cli.console import output
from esper.cli.exit_codes import ExitCode
from esper.cli.requests import ReportRequest
from esper.report.write import write_report


def run(request: ReportRequest) -> int:
    """Carry out `esper report`.

    Raises:
        RunFolderError: the folder is not that of a finished run.
    """
    written = write_report(request.folder)
    console = output()
    console.print(Text(written.story.headline, style="figure"))
    for path in (written.page, *written.pictures):
        console.print(Text(str(path), style="name"), soft_wrap=True)
    return ExitCode.OK
