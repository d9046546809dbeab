"""Choosing a logger by a word, as `esper train --logger` does: `tensorboard`, `mlflow:URI`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from esper.integrations.loggers.logger import Logger
from esper.integrations.loggers.mlflow import MlflowLogger
from esper.integrations.loggers.tensorboard import TensorBoardLogger
from esper.integrations.loggers.trackio import TrackioLogger
from esper.integrations.loggers.wandb import WandbLogger
from esper.utils.registry import Registry

Make = Callable[[str | None, Path], Logger]
"""Makes a logger from what stands behind the colon, and the run's folder."""

LOGGERS: Final[Registry[str, Make]] = Registry("logger")
"""Loggers by name; to add one, register what makes it."""


def choose_logger(text: str, folder: Path) -> Logger:
    """Make the logger that `NAME` or `NAME:WHERE` means, for one run.

    Args:
        text: As typed. WHERE is TensorBoard's folder (default: `tensorboard` in the run's),
            MLflow's tracking URI, and the project of W&B and of Trackio (default: `esper`).
        folder: Of the run: when it is resumed, its logger goes on with what it had begun.

    Raises:
        RegistryError: There is no logger of that name.
        ConfigError: Its package is not installed.
    """
    name, _, where = text.partition(":")
    return LOGGERS.lookup(name)(where or None, folder)


LOGGERS.add("tensorboard", lambda where, folder: TensorBoardLogger(where or folder / "tensorboard"))
LOGGERS.add("wandb", lambda where, folder: WandbLogger(where or "esper", run_folder=folder))
LOGGERS.add("mlflow", lambda where, folder: MlflowLogger(tracking_uri=where, run_folder=folder))
LOGGERS.add("trackio", lambda where, folder: TrackioLogger(where or "esper", run_folder=folder))
