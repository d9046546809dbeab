"""Runs side by side: their closing figures, and the settings in which they differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from esper.contracts.runs import RunSummary
from esper.report import wording
from esper.report.run_account import RunAccount, differences

_PLACE = "output"
"""Where a run's folder is says nothing about the run."""


Row = tuple[str, Sequence[tuple[float | None, str, bool]]]
"""A figure of all runs: its label, and each run's value, in words, and whether it is the best."""


def figures(runs: Sequence[RunSummary]) -> list[Row]:
    """Return the figures that runs are judged by; the best of each row is marked."""
    metric = runs[0].metric if runs else "metric"
    higher = all(run.higher_is_better for run in runs)
    percent = wording.is_percentage(metric)
    compute = "Compute, against the model as given"

    def score(value: float) -> str:
        return wording.score(value, is_percent=percent)

    # In Python, -1 ranks the smallest first and 0 ranks nothing.
    sign = 1 if higher else -1
    return [
        _row(f"Test {metric}", [run.test_metric for run in runs], score, sign),
        _row(f"Held-out {metric}", [run.growth_metric for run in runs], score, sign),
        _row("Test loss", [run.test_loss for run in runs], wording.loss, -1),
        _row("Held-out loss", [run.growth_loss for run in runs], wording.loss, -1),
        _row("Training loss", [run.train_loss for run in runs], wording.loss, 0),
        _row("Parameters", [run.parameters_after for run in runs], wording.count, 0),
        _row("Kernels that stayed", [run.fossilized for run in runs], wording.count, 0),
        _row("Kernels taken out again", [run.culled for run in runs], wording.count, 0),
        _row("Races", [run.races for run in runs], wording.count, 0),
        _row(compute, [run.compute for run in runs], wording.multiple, 0),
        _row("Time", [run.seconds for run in runs], wording.duration, 0),
        _row("Steps", [run.step for run in runs], wording.count, 0),
    ]


def differing_settings(accounts: Sequence[RunAccount]) -> list[tuple[str, Sequence[str]]]:
    """Return the settings that are not the same in all runs, by dotted name."""
    found = differences([{} if run.start is None else run.start.config for run in accounts])
    return [
        (name, ["—" if value is None else str(value) for value in values])
        for name, values in sorted(found.items())
        if name != _PLACE
    ]


def _row(label: str, values: Sequence[float | None], text: Any, sign: int) -> Row:
    ranked = [sign * value for value in values if value is not None]
    best = max(ranked) if sign and len(set(ranked)) > 1 else None
    return label, [
        (value, "—", False) if value is None else (value, text(value), sign * value == best)
        for value in values
    ]
