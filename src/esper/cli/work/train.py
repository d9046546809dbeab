"""Trains: settings from options, the display while it runs, the closing table."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from esper import bootstrap
from esper.cli.closing import print_closing
from esper.cli.console import diagnostics, output, print_notice
from esper.cli.exit_codes import ExitCode
from esper.cli.plan import print_plan
from esper.cli.progress import display
from esper.cli.requests import TrainRequest
from esper.contracts.errors import ConfigError, RunFolderError
from esper.contracts.records import parse_record
from esper.hosting.discovery import find
from esper.report.run_folder import log_records
from esper.services.tolaria.config_file import config_from_mapping, with_overrides
from esper.services.tolaria.result import RunStatus
from esper.services.tolaria.run_folder import CONFIG, LOG, RESULT, next_free, saved_config
from esper.services.tolaria.training_config import TolariaConfig
from esper.services.urza.client.client_config import URL
from esper.utils.environment import substitute
from esper.utils.logging import setup_logging
from esper.utils.yaml_file import read_yaml

RUNS = Path("runs")
"""Where runs go when nobody says otherwise."""
NEWEST = "newest"


def run(request: TrainRequest) -> int:
    """Carry out `esper train`.

    Raises:
        EsperError: the run cannot start, or failed.
    """
    setup_logging("esper", logging.DEBUG if request.verbose else logging.WARNING)
    config = resumed_config(request) if request.resume is not None else new_config(request)
    console = diagnostics()
    if request.dry_run:
        print_plan(output(), config, bootstrap.prepare(config))
        return ExitCode.OK
    return _train(config, console, request)


def new_config(request: TrainRequest) -> TolariaConfig:
    """The settings of a new run: file, then options, then `--set`; the later wins.

    Raises:
        ConfigError: nothing says what to train, or a setting is wrong.
    """
    values: dict[str, Any] = {}
    if request.config is not None:
        found = substitute(read_yaml(request.config), os.environ)
        assert isinstance(found, dict)  # what read_yaml returns stays a mapping
        values = dict(found)
    if request.quick_start is not None and request.data is not None:
        raise ConfigError(
            f"--quick-start {request.quick_start} and --data {request.data} both name data: "
            "give one of them"
        )
    given = {
        "data": request.quick_start if request.quick_start is not None else request.data,
        "model": request.model,
        "seed": request.seed,
        "steps": request.steps,
        "output": None if request.output is None else str(request.output),
        "grow": None if request.grow else False,
        "nursery": request.nursery,
    }
    values |= {name: value for name, value in given.items() if value is not None}
    library = library_options(request, os.environ)
    if library:
        values["library"] = {**(values.get("library") or {}), **library}
    values = with_overrides(values, request.overrides)
    if not values.get("data"):
        raise ConfigError(
            "nothing says what to train: give --quick-start NAME (for example mnist1d), "
            "--config FILE, or --data MODULE:FUNCTION with --model MODULE:FUNCTION"
        )
    if not values.get("output"):
        name = str(values["data"]).replace(":", "-").replace("/", "-")
        values["output"] = str(next_free(RUNS, name))
    return config_from_mapping(values)


def library_options(request: TrainRequest, environ: Mapping[str, str]) -> dict[str, Any]:
    """What the options say about a library, as settings.

    Raises:
        ConfigError: something is wanted of a library, and nobody says where it is.
    """
    given = {"enter": request.enter_kernels, "deposit": request.deposit or None}
    wanted = {name: value for name, value in given.items() if value is not None}
    if request.urza is not None:
        return {"url": request.urza, **wanted}
    if wanted and request.config is None:
        platform = find()
        url = environ.get(URL) or (None if platform is None else platform.urza_url)
        if url is None:
            raise ConfigError(
                f"nobody says where the library is: give --urza URL, set {URL}, or start a "
                "platform with `esper up`"
            )
        return {"url": url, **wanted}
    return wanted


def resumed_config(request: TrainRequest) -> TolariaConfig:
    """The settings of the run that is to go on.

    Raises:
        ConfigError: another setting was given as well.
        RunFolderError: there is no such run.
    """
    others = {
        "--quick-start": request.quick_start,
        "--config": request.config,
        "--data": request.data,
        "--model": request.model,
        "--output": request.output,
        "--seed": request.seed,
        "--steps": request.steps,
        "--set": request.overrides or None,
        "--no-growth": None if request.grow else True,
        "--nursery": request.nursery,
        "--urza": request.urza,
        "--enter-kernels": request.enter_kernels,
        "--deposit": request.deposit or None,
    }
    extra = [name for name, value in others.items() if value is not None]
    if extra:
        raise ConfigError(
            f"--resume goes on with a run as it was begun: leave out {', '.join(extra)}, or begin "
            "a new run"
        )
    assert request.resume is not None  # the caller asks only then
    folder = newest_run(RUNS) if request.resume == NEWEST else Path(request.resume)
    return saved_config(folder)


def newest_run(parent: Path) -> Path:
    """The run under `parent` that was begun last and has not ended.

    Raises:
        RunFolderError: there is none.
    """
    begun = [path.parent for path in parent.glob(f"*/{CONFIG}")]
    open_runs = [folder for folder in begun if not (folder / RESULT).exists()]
    if not open_runs:
        raise RunFolderError(
            f"no run under {parent}/ is left to resume ({len(begun)} have ended): name the folder, "
            "`esper train --resume FOLDER`"
        )
    return max(open_runs, key=lambda folder: (folder / CONFIG).stat().st_mtime)


def _train(config: TolariaConfig, console: Console, request: TrainRequest) -> int:
    resume = request.resume is not None
    console.print(Text.assemble("run folder: ", (str(config.output), "name")), soft_wrap=True)
    with display(console) as show:
        if resume:
            for record in islice(log_records(config.output / LOG), 1):
                show(
                    parse_record(dict(record))
                )  # the settings of the run, which a resumed log does not repeat
        result, report = bootstrap.train(
            config, resume=resume, on_record=show, loggers=request.loggers
        )
    if result.status is RunStatus.INTERRUPTED:
        kept = "a checkpoint was saved" if result.checkpoint else "no checkpoint was saved yet"
        print_notice(
            console,
            f"stopped at step {result.steps:,} of {result.total_steps:,}; {kept}.\n"
            f"Go on with:  {result.resume_command}",
        )
        return result.exit_status
    assert report is not None  # only an interrupted run has none
    print_closing(output(), result, report)
    return ExitCode.OK
