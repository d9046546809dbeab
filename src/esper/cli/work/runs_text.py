"""Runs as tables for people."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from rich import box
from rich.table import Table
from rich.text import Text

from esper.contracts.enums import RunState
from esper.contracts.runs import Impact, RunSummary
from esper.report import wording

SHORT = 8
"""Characters of an id that are shown where there is little room."""

_STYLES = {
    RunState.RUNNING: "name",
    RunState.FINISHED: "good",
    RunState.STOPPED_EARLY: "good",
    RunState.INTERRUPTED: "warn",
    RunState.FAILED: "bad",
    RunState.LOST: "bad",
}


def runs_table(runs: Sequence[RunSummary]) -> Table:
    """One row for each run."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("run", "name", "state", "began", "steps", "metric", "grew"):
        numeric = heading in {"steps", "metric", "grew"}
        # The name gives way where there is little room.
        table.add_column(
            heading,
            justify="right" if numeric else "left",
            no_wrap=heading != "name",
            overflow="fold",
        )
    for run in runs:
        table.add_row(
            run.run_id[:SHORT],
            run.name,
            _state(run),
            f"{run.started_at.astimezone():%m-%d %R}",
            f"{wording.count(run.step)}/{wording.count(run.total_steps)}",
            _score(run, run.growth_metric if run.test_metric is None else run.test_metric),
            str(run.fossilized),
        )
    return table


def figures(run: RunSummary) -> dict[str, str]:
    """A run's figures by their headings, in the order in which they are shown."""
    known = {
        "name": run.name,
        "state": run.state.value.replace("_", " "),
        "began": _moment(run.started_at),
        "newest line": _moment(run.updated_at),
        "folder": run.folder,
        "resumed": str(run.attempt),
        "steps": f"{wording.count(run.step)} of {wording.count(run.total_steps)}",
        "seed": "" if run.seed is None else str(run.seed),
        "train loss": _loss(run.train_loss),
        "growth loss": _loss(run.growth_loss),
        f"growth {run.metric}": _score(run, run.growth_metric),
        "test loss": _loss(run.test_loss),
        f"test {run.metric}": _score(run, run.test_metric),
        "parameters": f"{wording.count(run.parameters_before)} → "
        f"{wording.count(run.parameters_after)}",
        "races": str(run.races),
        "kernels kept": str(run.fossilized),
        "kernels removed": str(run.culled),
        "compute": "" if run.compute is None else wording.multiple(run.compute),
        "time": "" if run.seconds is None else wording.duration(run.seconds),
    }
    return {heading: figure for heading, figure in known.items() if figure}


def impacts_table(impacts: Sequence[Impact]) -> Table:
    """One row for each adaptation: what was expected, and what it came to."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("layer", "kernel", "step", "expected", "came to", "verdict"):
        table.add_column(heading, justify="right" if heading == "step" else "left")
    for impact in impacts:
        table.add_row(
            impact.layer_name,
            impact.candidate,
            wording.count(impact.grafted_at),
            _gain(impact.predicted, impact.predicted_low, impact.predicted_high),
            _gain(impact.outcome, impact.outcome_low, impact.outcome_high),
            impact.verdict or "under way",
        )
    return table


def _state(run: RunSummary) -> Text:
    return Text(run.state.value.replace("_", " "), style=_STYLES[run.state])


def _moment(at: datetime) -> str:
    return f"{at.astimezone():%F %R}"


def _score(run: RunSummary, value: float | None) -> str:
    if value is None:
        return ""
    return wording.score(value, is_percent=wording.is_percentage(run.metric))


def _loss(value: float | None) -> str:
    return "" if value is None else wording.loss(value)


def _gain(gain: float | None, low: float | None, high: float | None) -> str:
    if gain is None:
        return wording.MISSING
    known = wording.signed_percent(gain)
    if low is None or high is None:
        return known
    return f"{known}\n{wording.signed_percent(low)} to {wording.signed_percent(high)}"
