"""The command tree."""

from __future__ import annotations

from typing import Annotated

import typer

from esper.cli import help as help_text
from esper.cli.commands import (
    blueprints,
    bus,
    control,
    doctor,
    export,
    inspect,
    kernel,
    nissa,
    report,
    runs,
    status,
    tezzeret,
    train,
    up,
    urza,
)
from esper.cli.late import Session
from esper.contracts.version import VERSION

app = typer.Typer(
    name="esper",
    help="Train neural networks that change their own structure while they train.",
    epilog=help_text.examples(
        "esper train --quick-start mnist1d",
        "esper report runs/mnist1d-001",
        "esper doctor",
    )
    + "\n\n"
    + help_text.exit_codes(),
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command(name="train", help=train.HELP, epilog=train.EXAMPLES)(train.train)
app.command(name="up", epilog=up.EXAMPLES)(up.up)
app.command(name="status", epilog=status.EXAMPLES)(status.status)
app.command(name="control", help=control.HELP, epilog=control.EXAMPLES)(control.control)
app.command(name="inspect", epilog=inspect.EXAMPLES)(inspect.inspect)
app.add_typer(blueprints.app, name="blueprints")
app.add_typer(kernel.app, name="kernel")
app.add_typer(urza.app, name="urza")
app.add_typer(tezzeret.app, name="tezzeret")
app.add_typer(nissa.app, name="nissa")
app.add_typer(bus.app, name="bus")
app.add_typer(runs.app, name="runs")
app.command(name="export", epilog=export.EXAMPLES)(export.export)
app.command(name="report", epilog=report.EXAMPLES)(report.report)
app.command(name="doctor", epilog=doctor.EXAMPLES)(doctor.doctor)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"esper {VERSION}")
        raise typer.Exit


@app.callback()
def main(
    context: typer.Context,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show where an error comes from.")
    ] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Train neural networks that change their own structure while they train."""
    context.obj = Session(verbose=verbose)
