"""`esper report`: the page about a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from esper.cli.console import diagnostics, output, print_notice, say
from esper.cli.exit_codes import ExitCode
from esper.cli.lazy import later
from esper.cli.noun import Noun
from esper.cli.options import refuse

with later():
    from esper import bootstrap
    from esper.report import narrate, page, story

NOUN = Noun()


@NOUN.command("report", "esper report runs/mnist1d-001", "esper report runs/mnist1d-001 --send")
def report(
    *,
    folder: Annotated[Path, typer.Argument(metavar="RUN")],
    send: Annotated[bool, typer.Option("--send")] = False,
    urza: Annotated[str | None, typer.Option(metavar="URL")] = None,
) -> int:
    """Write a run's report again: report.html and its pictures.

    Options:
        folder: The folder of a run.
        send: Send the library what the run still has for it: kernels and reports of them.
        urza: With --send: the library; default: the one that the run began with.
    """
    if not send:
        refuse("nothing is sent without --send", urza=urza)
    written = page.write_report(folder)
    say(output(), (story.tell(written.run).headline, "figure"))
    for path in (written.page, *written.pictures):
        say(output(), (str(path), "name"))
    if not send:
        return ExitCode.OK
    delivery = bootstrap.send(folder, urza)
    print_notice(diagnostics(), narrate.delivered(delivery))
    return ExitCode.OK if not delivery.left else ExitCode.FAILED
