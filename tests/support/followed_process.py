"""A training run on a bus, in a process of its own, that a test can kill."""

from __future__ import annotations

import multiprocessing
import os
import sys
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch

from esper import bootstrap
from esper.services.tolaria.run_folder import saved_config
from esper.services.tolaria.training_config import config_from_mapping

# Forked from a server that has imported everything: no thread of the test is copied into it.
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["esper.bootstrap"])


def train(settings: dict[str, Any] | str, bus: str, home: str) -> None:
    """Begin a run with `settings`, or resume the one in a folder; then exit with its status."""
    os.environ["ESPER_HOME"] = home  # the fork server has what it was started with
    torch.set_num_threads(1)
    if isinstance(settings, str):
        result, _ = bootstrap.train(saved_config(Path(settings)), resume=True, bus=bus)
    else:
        result, _ = bootstrap.train(config_from_mapping(settings), bus=bus)
    sys.exit(result.exit_status)


def start(settings: dict[str, Any] | Path, bus: str, home: Path) -> BaseProcess:
    """Run :func:`train` in a new process."""
    what = settings if isinstance(settings, dict) else os.fspath(settings)
    process = _CONTEXT.Process(target=train, args=(what, bus, os.fspath(home)))
    process.start()
    return process
