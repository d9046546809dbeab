"""The command tree: every noun; its file is imported when it is called."""

from __future__ import annotations

from typing import Annotated, ClassVar

import typer

from esper.cli.lazy import LazyGroup
from esper.cli.noun import block, exit_codes
from esper.contracts.version import VERSION


class Nouns(LazyGroup):
    """What can be said after `esper`, in the order of its help."""

    package = "esper.cli"
    nouns: ClassVar = {
        "train": "Train a model that grows where it lacks capacity.",
        "up": "Run library, forge, observer, dashboard and bus until Ctrl-C; `esper train` finds them.",
        "status": "Show what runs here and how it is; exit code 1 unless all of it is ready.",
        "control": "Change a seed of a model that trains, or stop the run.",
        "inspect": "Show a model's layers, slots, geometry, states and costs.",
        "blueprints": "The kinds of kernel that Esper can grow.",
        "kernel": "Build, read and check kernel files.",
        "urza": "Run and keep a library of blueprints and kernels.",
        "tezzeret": "Build kernels from blueprints and prove them.",
        "nissa": "Watch runs and services: run store, metrics, alerts, dashboard.",
        "bus": "Look at the messages between the parts of the platform.",
        "runs": "Show, compare and export training runs.",
        "export": "Write the model of a run as plain PyTorch: it loads where Esper is not installed.",
        "report": "Write a run's report again: report.html and its pictures.",
        "doctor": "Say what is installed and what a run would use: torch, threads, data sets, disk.",
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
