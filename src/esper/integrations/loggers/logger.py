"""Logger: the part of Lightning's logger surface that Esper calls."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self, runtime_checkable

from esper.utils.run_identity import read_identity


@runtime_checkable
class Logger(Protocol):
    """What a logger must be able to do; Lightning's own loggers, and many others, can.

    Besides, `save()` is called where a logger has it, whenever there is nothing more to log for
    the moment.
    """

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Take figures of one training step."""

    def log_hyperparams(self, params: dict[str, Any]) -> None:
        """Take a run's settings, nested; called once, before any figures.

        Raises:
            NotImplementedError: The logger has no place for them, which is fine.
        """

    def finalize(self, status: str) -> None:
        """End the run: `success`, or `failed` for an error or an interruption."""


@dataclass(frozen=True, kw_only=True)
class KnownRun:
    """What a tool is told about a run, so that a resumed one goes on where it was begun."""

    name: str | None = None
    """Name of its folder."""
    run_id: str | None = None
    """Its identity."""

    @classmethod
    def of(cls, folder: str | os.PathLike[str] | None) -> Self:
        """The run in a folder; empty without one, or before the run has begun."""
        if folder is None:
            return cls()
        identity = read_identity(Path(folder))
        name = Path(folder).absolute().name
        return cls(name=name, run_id=None if identity is None else identity.run_id)
