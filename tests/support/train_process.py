"""A training run in a process of its own, that a test can kill."""

from __future__ import annotations

import multiprocessing
import os
import sys
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch

from esper.contracts.errors import EsperError
from esper.services.tolaria.trainer import TolariaTrainer
from esper.services.tolaria.training_config import config_from_mapping

# Forked from a server that has imported everything: a process starts in milliseconds, and no
# thread of the test is copied into it.
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["esper.services.tolaria.trainer", "mnist1d.data"])

REFUSED = 3
"""Exit status of a run that ended with an error on purpose."""


def train(settings: dict[str, Any] | str, errors: str | None = None) -> None:
    """Begin a run with ``settings``, or resume the one in a folder; then exit with its status."""
    torch.set_num_threads(1)
    try:
        if isinstance(settings, str):
            result = TolariaTrainer.resuming(Path(settings)).run()
        else:
            result = TolariaTrainer(config_from_mapping(settings)).run()
    except EsperError as error:
        if errors is not None:
            Path(errors).write_text(f"{type(error).__name__}: {error}", encoding="utf-8")
        sys.exit(REFUSED)
    sys.exit(result.exit_status)


def start(settings: dict[str, Any] | Path, errors: Path | None = None) -> BaseProcess:
    """Run :func:`train` in a new process."""
    arguments = settings if isinstance(settings, dict) else os.fspath(settings)
    process = _CONTEXT.Process(
        target=train, args=(arguments, None if errors is None else os.fspath(errors))
    )
    process.start()
    return process
