"""What a run comes to: the figures of ``result.json``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, ConfigDict


class RunStatus(StrEnum):
    """How a run ended."""

    FINISHED = "finished"
    """All steps were trained."""
    STOPPED_EARLY = "stopped early"
    """The growth loss no longer fell."""
    INTERRUPTED = "interrupted"
    """A signal asked it to stop; it can be resumed."""


class RunResult(BaseModel):
    """Closing figures of a run. Of an interrupted one, test figures are ``None``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    status: RunStatus
    name: str
    """``data model``."""
    folder: Path
    """Where everything lies."""
    steps: int
    """Steps trained."""
    total_steps: int
    """Steps planned."""
    metric: str
    """Name of the metric."""
    higher_is_better: bool
    """Direction of the metric."""
    percent: bool = False
    """Whether the metric is shown as a percentage."""
    growth_metric: float | None
    """On the growth split, at the last evaluation."""
    test_metric: float | None = None
    """On the test split, at the end."""
    test_loss: float | None = None
    """On the test split, at the end."""
    parameters_before: int
    """Of the host."""
    parameters_after: int
    """Of the model as it is now."""
    grown: bool
    """Whether the model has been changed for good."""
    compute: float | None = None
    """Training FLOPs as a multiple of the static host's; ``None`` where growth was off."""
    summary: str
    """What happened, as a sentence."""
    seconds: float
    """Time spent training, in all processes of this run."""
    checkpoint: Path | None = None
    """The newest checkpoint."""
    resume_command: str | None = None
    """How to go on, for an interrupted run."""
    exit_status: int = 0
    """For the process: 0, or 128 plus the signal's number."""
