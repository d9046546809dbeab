"""Logger: the part of Lightning's logger surface that Esper calls."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable


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
