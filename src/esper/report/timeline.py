"""What happened in a run, one sentence each, for its page's record."""

from __future__ import annotations

from dataclasses import dataclass

from esper.contracts.events import Event
from esper.contracts.records import (
    CheckpointFailed,
    KernelsEntered,
    RunEnded,
    RunInterrupted,
    RunResumed,
)
from esper.report.narrate import narrate
from esper.report.run_account import Line, RunAccount


@dataclass(frozen=True, kw_only=True)
class TimelineEntry:
    """One entry."""

    step: int
    text: str


def timeline(run: RunAccount) -> list[TimelineEntry]:
    """Return what is news for a person, in order."""
    told = [(line, tell(line)) for line in run.lines]
    return [TimelineEntry(step=line.step, text=text) for line, text in told if text]


def tell(line: Line) -> str | None:
    """Say what a line of the log means; None where it is no news."""
    if isinstance(line, Event):
        return narrate(line)
    if isinstance(line, RunResumed):
        return "the run goes on from its checkpoint"
    if isinstance(line, RunInterrupted):
        return f"the run was interrupted{_why(line)}"
    if isinstance(line, CheckpointFailed):
        return f"a checkpoint could not be written: {line.error}"
    if isinstance(line, KernelsEntered):
        trouble = f"; {line.trouble}" if line.trouble else ""
        return f"{len(line.entered)} kernels of the library may race{trouble}"
    if isinstance(line, RunEnded):
        return "the run ended"
    return None


def _why(line: RunInterrupted) -> str:
    if line.reason:
        return f": {line.reason}"
    return f" by signal {line.signal}" if line.signal else ""
