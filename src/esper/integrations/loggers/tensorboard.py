"""TensorBoardLogger: event files for TensorBoard."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from esper.integrations.loggers.figures import flat
from esper.utils import extras


class TensorBoardLogger:
    """Writes event files; look at them with `tensorboard --logdir`. Needs the extra `tensorboard`.

    Args:
        folder: Of this run alone; made if needed. Writing to it again goes on with the run:
            TensorBoard then forgets the points that lie beyond the first new one.

    Raises:
        ConfigError: TensorBoard is not installed.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self._module: Any = extras.load("torch.utils.tensorboard")
        self._hparams: Any = extras.load("torch.utils.tensorboard.summary").hparams
        self._writer: Any = None

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Write a point of each curve."""
        writer = self._opened(step)
        for name, value in metrics.items():
            writer.add_scalar(name, value, step)

    def log_hyperparams(self, params: dict[str, Any]) -> None:
        """Write the settings for the tab "HParams"."""
        for summary in self._hparams(flat(params), {}):
            self._opened(None).file_writer.add_summary(summary)

    def save(self) -> None:
        """Have on the disk what was written."""
        if self._writer is not None:
            self._writer.flush()

    def finalize(self, status: str) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _opened(self, step: int | None) -> Any:
        if self._writer is None:
            self._writer = self._module.SummaryWriter(os.fspath(self.folder), purge_step=step)
        return self._writer
