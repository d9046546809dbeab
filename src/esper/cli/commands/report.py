"""`esper report`: the page about a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from esper.cli.help import examples
from esper.cli.late import carry_out
from esper.cli.requests import ReportRequest

EXAMPLES = examples(
    "esper report runs/mnist1d-001",
    "esper report runs/mnist1d-001 --send",
)


def report(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run.")],
    send: Annotated[
        bool,
        typer.Option(
            "--send",
            help="Send the library what the run still has for it: kernels and reports of them.",
        ),
    ] = False,
    urza: Annotated[
        str | None,
        typer.Option(metavar="URL", help="The library; default: the one that the run began with."),
    ] = None,
) -> None:
    """Write a run's report again: report.html and its pictures."""
    carry_out(context, "report", ReportRequest(folder=folder, send=send, urza=urza))
