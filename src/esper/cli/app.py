"""The command tree: every noun, and the file that is imported when it is called."""

from __future__ import annotations

from typing import Annotated, ClassVar

import typer

from esper.cli.lazy import LazyGroup
from esper.cli.noun import block, exit_codes
from esper.contracts.version import VERSION


class Nouns(LazyGroup):
    """What can be said after `esper`, in the order of its help."""

    nouns: ClassVar = {
        "train": "esper.cli.train",
        "up": "esper.cli.up",
        "status": "esper.cli.status",
        "control": "esper.cli.control",
        "inspect": "esper.cli.inspect",
        "blueprints": "esper.cli.blueprints",
        "kernel": "esper.cli.kernel",
        "urza": "esper.cli.urza",
        "tezzeret": "esper.cli.tezzeret",
        "nissa": "esper.cli.nissa",
        "bus": "esper.cli.bus",
        "runs": "esper.cli.runs",
        "export": "esper.cli.export",
        "report": "esper.cli.report",
        "doctor": "esper.cli.doctor",
    }


EXAMPLES = (
    "$ esper train --quick-start mnist1d",
    "$ esper report runs/mnist1d-001",
    "$ esper doctor",
)

app = typer.Typer(
    name="esper",
    cls=Nouns,
    help="Train neural networks that change their own structure while they train.",
    epilog=f"{block('Examples', EXAMPLES)}\n\n{exit_codes()}",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


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
    context.obj = verbose
