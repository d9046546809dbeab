"""`esper train`: one command grows a network."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from esper.cli.console import diagnostics, output, print_notice, say
from esper.cli.exit_codes import ExitCode
from esper.cli.lazy import later
from esper.cli.main import NEWEST
from esper.cli.noun import Noun
from esper.cli.options import refuse, typed
from esper.contracts.errors import ConfigError, RunFolderError
from esper.services.urza.client.client_config import URL
from esper.utils.environment import substitute
from esper.utils.logging import setup_logging
from esper.utils.yaml_file import read_yaml

with later():
    from esper import bootstrap
    from esper.cli import layers, progress
    from esper.contracts import records
    from esper.hosting import discovery
    from esper.report import page
    from esper.report import run_folder as written
    from esper.services.tolaria import result as results
    from esper.services.tolaria import run_folder, training_config

NOUN = Noun()

RUNS = Path("runs")
"""Where runs go when nobody says otherwise."""
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
WITH_RESUME = {"resume", "dry_run", "verbose", "loggers"}
"""Options that go together with `--resume`: they do not change the run."""

_TYPED = "COMMANDLINE"
"""Name of click's source of what was typed."""
_what = partial(typer.Option, rich_help_panel="What to train")
_how = partial(typer.Option, rich_help_panel="How to train it")
_library = partial(typer.Option, rich_help_panel="Kernels of other runs")


def complete_quick_start(incomplete: str) -> list[str]:
    """Names that begin as what was typed so far."""
    return [name for name in QUICK_STARTS if name.startswith(incomplete)]


@NOUN.command(
    "train",
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
def train(
    *,
    context: typer.Context,
    quick_start: Annotated[
        str | None,
        _what(
            "--quick-start",
            "-q",
            metavar="NAME",
            help=f"A data set with its default model: {', '.join(QUICK_STARTS)}.",
            autocompletion=complete_quick_start,
        ),
    ] = None,
    settings: Annotated[Path | None, _what("--config", "-c", metavar="FILE")] = None,
    data: Annotated[str | None, _what(metavar="NAME|MODULE:FUNCTION")] = None,
    model: Annotated[str | None, _what(metavar="NAME|MODULE:FUNCTION")] = None,
    resume: Annotated[str | None, _what(metavar="[DIR]")] = None,
    folder: Annotated[Path | None, _how("--output", "-o", metavar="DIR")] = None,
    steps: Annotated[int | None, _how(min=1)] = None,
    seed: Annotated[int | None, _how(min=0)] = None,
    overrides: Annotated[list[str] | None, _how("--set", metavar="KEY=VALUE")] = None,
    no_growth: Annotated[bool, _how("--no-growth")] = False,
    nursery: Annotated[str | None, _how(metavar="inline|process")] = None,
    urza: Annotated[str | None, _library(metavar="URL")] = None,
    enter_kernels: Annotated[int | None, _library(min=0, metavar="N")] = None,
    deposit: Annotated[bool, _library("--deposit")] = False,
    loggers: Annotated[list[str] | None, _how("--logger", metavar="NAME[:WHERE]")] = None,
    dry_run: Annotated[bool, _how("--dry-run")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v")] = False,
) -> int:
    """Train a model that grows where it lacks capacity.

    The training data is split in three: train, growth (the only data that
    decisions see), and test (measured once, at the end). The run's folder holds
    config.yaml, run.jsonl, checkpoint.pt, report.html with its pictures,
    result.json, and model.pt: the grown model as plain PyTorch.
    Ctrl-C leaves a checkpoint and says how to go on.

    Options:
        settings: Settings as YAML; ${NAME} stands for the environment variable NAME.
        data: Data: a quick-start's, or your function that returns a DataBundle.
        model: Model: a quick-start's, or your function that returns an nn.Module.
        resume: Go on with the run in DIR; without DIR, with the newest one under runs/.
        folder: Folder for everything that the run leaves; default: runs/NAME-001, -002, ...
        steps: Optimizer steps.
        seed: Same seed, same run, bit for bit.
        overrides: Change one setting; may be given many times.
        no_growth: Train the static host, for comparison: same data, same split, no search.
        nursery: Hold races in the training loop (default), or in a worker process beside it.
        urza: A library: its proven kernels enter races with their weights, and it is told what
            became of them. Default where it is needed: $ESPER_URZA_URL.
        enter_kernels: Kernels of the library that may enter races, at most.
        deposit: Give the library the kernels that the run keeps.
        loggers: Log figures with tensorboard[:FOLDER], mlflow[:TRACKING_URI], wandb[:PROJECT] or
            trackio[:PROJECT]; may be given many times. W&B stays offline unless WANDB_MODE=online.
        dry_run: Check settings, data and model, show what would be done, and stop.
        verbose: Log everything; show where an error comes from.
    """
    setup_logging("esper", logging.DEBUG if verbose else logging.WARNING)
    if resume is not None:
        _refuse_settings(context)
        config = run_folder.saved_config(newest_run(RUNS) if resume == NEWEST else Path(resume))
    else:
        if quick_start is not None and data is not None:
            raise ConfigError(
                f"--quick-start {quick_start} and --data {data} both name data: give one of them"
            )
        search = {"nursery": nursery, "enter_kernels": enter_kernels, "deposit": deposit}
        if no_growth:
            refuse("--no-growth searches nothing, and keeps no kernels", **search)
        given = typed(
            data=data if quick_start is None else quick_start,
            model=model,
            seed=seed,
            steps=steps,
            output=None if folder is None else str(folder),
            grow=False if no_growth else None,
            nursery=nursery,
        )
        wanted = typed(enter=enter_kernels, deposit=deposit or None)
        config = new_config(settings, given, library_options(urza, wanted, settings), overrides)
    console = diagnostics()
    if dry_run:
        layers.print_plan(output(), config, bootstrap.prepare(config))
        return ExitCode.OK
    say(console, "run folder: ", (str(config.output), "name"))
    with progress.display(console) as show:
        if resume is not None:
            # The settings of the run, which a resumed log does not repeat.
            for record in islice(written.log_records(config.output / run_folder.LOG), 1):
                show(records.parse_record(dict(record)))
        result, report = bootstrap.train(
            config, resume=resume is not None, on_record=show, loggers=tuple(loggers or ())
        )
    return _say_end(result, report)


def new_config(
    file: Path | None,
    given: Mapping[str, Any],
    library: Mapping[str, Any] | None = None,
    overrides: Sequence[str] | None = None,
) -> training_config.TolariaConfig:
    """The settings of a new run: file, then options, then `--set`; the later wins.

    Raises:
        ConfigError: nothing says what to train, or a setting is wrong.
    """
    values: dict[str, Any] = {}
    if file is not None:
        found = substitute(read_yaml(file), os.environ)
        assert isinstance(found, dict)  # what read_yaml returns stays a mapping
        values = dict(found)
    values |= given
    if library:
        values["library"] = {**(values.get("library") or {}), **library}
    values = training_config.with_overrides(values, overrides or ())
    if not values.get("data"):
        raise ConfigError(
            "nothing says what to train: give --quick-start NAME (for example mnist1d), "
            "--config FILE, or --data MODULE:FUNCTION with --model MODULE:FUNCTION"
        )
    if not values.get("output"):
        name = str(values["data"]).replace(":", "-").replace("/", "-")
        values["output"] = str(run_folder.next_free(RUNS, name))
    return training_config.config_from_mapping(values)


def library_options(
    urza: str | None, wanted: Mapping[str, Any], file: Path | None
) -> dict[str, Any]:
    """What the options say about a library, as settings.

    Raises:
        ConfigError: something is wanted of a library, and nobody says where it is.
    """
    if urza is not None:
        return {"url": urza, **wanted}
    if not wanted or file is not None:
        return dict(wanted)
    platform = discovery.find()
    url = os.environ.get(URL) or (None if platform is None else platform.urza_url)
    if url is None:
        raise ConfigError(
            f"nobody says where the library is: give --urza URL, set {URL}, or start a "
            "platform with `esper up`"
        )
    return {"url": url, **wanted}


def newest_run(parent: Path) -> Path:
    """The run under `parent` that was begun last and has not ended.

    Raises:
        RunFolderError: there is none.
    """
    begun = [path.parent for path in parent.glob(f"*/{run_folder.CONFIG}")]
    open_runs = [folder for folder in begun if not (folder / run_folder.RESULT).exists()]
    if not open_runs:
        raise RunFolderError(
            f"no run under {parent}/ is left to resume ({len(begun)} have ended): name the folder, "
            "`esper train --resume FOLDER`"
        )
    return max(open_runs, key=lambda folder: (folder / run_folder.CONFIG).stat().st_mtime)


def _say_end(result: results.RunResult, report: page.WrittenReport | None) -> int:
    """Say how a run ended; returns its exit status."""
    if result.status is results.RunStatus.INTERRUPTED:
        kept = "a checkpoint was saved" if result.checkpoint else "no checkpoint was saved yet"
        print_notice(
            diagnostics(),
            f"stopped at step {result.steps:,} of {result.total_steps:,}; {kept}.\n"
            f"Go on with:  {result.resume_command}",
        )
        return result.exit_status
    assert report is not None  # only an interrupted run has none
    progress.print_closing(output(), result, report)
    return ExitCode.OK


def _refuse_settings(context: typer.Context) -> None:
    """Refuse what was typed beside `--resume` and would change the run."""
    extra = [
        max(parameter.opts, key=len)
        for parameter in context.command.params
        if parameter.name not in WITH_RESUME
        and getattr(context.get_parameter_source(parameter.name or ""), "name", "") == _TYPED
    ]
    if extra:
        raise ConfigError(
            f"--resume goes on with a run as it was begun: leave out {', '.join(extra)}, or begin "
            "a new run"
        )
