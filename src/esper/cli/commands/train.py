"""`esper train`: one command grows a network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from esper.cli.help import examples
from esper.cli.late import carry_out
from esper.cli.requests import TrainRequest

QUICK_STARTS = (
    "breast-cancer",
    "cifar10",
    "cifar100",
    "digits",
    "fashion-mnist",
    "mnist1d",
    "text",
)
"""Names of the catalog, which itself needs torch; a test holds the two together."""

EXAMPLES = examples(
    "esper train --quick-start mnist1d",
    "esper train --quick-start digits --seed 3 --output runs/digits",
    "esper train --quick-start text --set data_args.path=book.txt",
    "esper train --config experiment.yaml --set optimizer.lr=1e-3",
    "esper train --data my.project:load --model my.project:build --output runs/mine",
    "esper train --resume runs/mnist1d-001",
    "esper train --config experiment.yaml --dry-run",
    "esper train -q mnist1d --logger tensorboard --logger mlflow:sqlite:///mlflow.db",
    "esper train -q mnist1d --urza http://127.0.0.1:8420 --enter-kernels 5 --deposit",
)

HELP = """Train a model that grows where it lacks capacity.

\b
The training data is split in three: train, growth (the only data that
decisions see), and test (measured once, at the end). The run's folder holds
config.yaml, run.jsonl, checkpoint.pt, report.html with its pictures,
result.json, and model.pt: the grown model as plain PyTorch.
Ctrl-C leaves a checkpoint and says how to go on.
"""

_WHAT = "What to train"
_HOW = "How to train it"
_LIBRARY = "Kernels of other runs"


def complete_quick_start(incomplete: str) -> list[str]:
    """Names that begin as what was typed so far."""
    return [name for name in QUICK_STARTS if name.startswith(incomplete)]


def train(
    context: typer.Context,
    quick_start: Annotated[
        str | None,
        typer.Option(
            "--quick-start",
            "-q",
            metavar="NAME",
            help=f"A data set with its default model: {', '.join(QUICK_STARTS)}.",
            autocompletion=complete_quick_start,
            rich_help_panel=_WHAT,
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            "-c",
            metavar="FILE",
            help="Settings as YAML; ${NAME} stands for the environment variable NAME.",
            rich_help_panel=_WHAT,
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|MODULE:FUNCTION",
            help="Data: a quick-start's, or your function that returns a DataBundle.",
            rich_help_panel=_WHAT,
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|MODULE:FUNCTION",
            help="Model: a quick-start's, or your function that returns an nn.Module.",
            rich_help_panel=_WHAT,
        ),
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option(
            metavar="[DIR]",
            help="Go on with the run in DIR; without DIR, with the newest one under runs/.",
            rich_help_panel=_WHAT,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            help="Folder for everything that the run leaves; default: runs/NAME-001, -002, ...",
            rich_help_panel=_HOW,
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(min=1, help="Optimizer steps.", rich_help_panel=_HOW),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, help="Same seed, same run, bit for bit.", rich_help_panel=_HOW),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Change one setting; may be given many times.",
            rich_help_panel=_HOW,
        ),
    ] = None,
    no_growth: Annotated[
        bool,
        typer.Option(
            "--no-growth",
            help="Train the static host, for comparison: same data, same split, no search.",
            rich_help_panel=_HOW,
        ),
    ] = False,
    nursery: Annotated[
        str | None,
        typer.Option(
            metavar="inline|process",
            help="Hold races in the training loop (default), or in a worker process beside it.",
            rich_help_panel=_HOW,
        ),
    ] = None,
    urza: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="A library: its proven kernels enter races with their weights, and it is told "
            "what became of them. Default where it is needed: $ESPER_URZA_URL.",
            rich_help_panel=_LIBRARY,
        ),
    ] = None,
    enter_kernels: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="N",
            help="Kernels of the library that may enter races, at most.",
            rich_help_panel=_LIBRARY,
        ),
    ] = None,
    deposit: Annotated[
        bool,
        typer.Option(
            "--deposit",
            help="Give the library the kernels that the run keeps.",
            rich_help_panel=_LIBRARY,
        ),
    ] = False,
    loggers: Annotated[
        list[str] | None,
        typer.Option(
            "--logger",
            metavar="NAME[:WHERE]",
            help="Log figures with tensorboard[:FOLDER], mlflow[:TRACKING_URI], wandb[:PROJECT] or "
            "trackio[:PROJECT]; may be given many times. W&B stays offline unless "
            "WANDB_MODE=online.",
            rich_help_panel=_HOW,
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Check settings, data and model, show what would be done, and stop.",
            rich_help_panel=_HOW,
        ),
    ] = False,
    verbose: Annotated[
        bool,
        typer.Option("--verbose", "-v", help="Log everything; show where an error comes from."),
    ] = False,
) -> None:
    """Train a model that grows where it lacks capacity."""
    request = TrainRequest(
        quick_start=quick_start,
        config=config,
        data=data,
        model=model,
        output=output,
        resume=resume,
        seed=seed,
        steps=steps,
        overrides=tuple(overrides or ()),
        grow=not no_growth,
        urza=urza,
        enter_kernels=enter_kernels,
        deposit=deposit,
        nursery=nursery,
        loggers=tuple(loggers or ()),
        dry_run=dry_run,
        verbose=verbose,
    )
    carry_out(context, "train", request, verbose=verbose)
