"""`esper report`: the page about a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from esper.cli.help import examples
from esper.cli.late import carry_out
from esper.cli.requests import ReportRequest

EXAMPLES = examples("esper report runs/mnist1d-001")


def report(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run.")],
) -> None:
    """Write a run's report again: report.html and its pictures."""
    carry_out(context, "report", ReportRequest(folder=folder))
