"""Reads the folder that a training run leaves, and checks that it is one.

===============  ==================================================================
`report.json`    the growth record, `contracts.growth.GrowthReport`; required
`result.json`    the trainer's closing figures, test result included
`run.jsonl`      the log: one JSON object a line with a `type`
===============  ==================================================================

A log that a killed process cut short in its last line is read up to that line.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from esper.contracts.errors import RunFolderError
from esper.contracts.growth import GrowthReport

REPORT_FILE = "report.json"
RESULT_FILE = "result.json"
LOG_FILE = "run.jsonl"


@dataclass(frozen=True, kw_only=True)
class StepPoint:
    """One line of the log about training itself."""

    step: int
    train_loss: float
    learning_rate: float | None
    alpha: Mapping[str, float]
    """Blending coefficient of every live slot."""


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """All that the report says about a run, as read from its folder."""

    folder: Path
    growth: GrowthReport
    result: Mapping[str, Any]
    """The trainer's closing figures; empty when the run did not come to its end."""
    start: Mapping[str, Any]
    """The log's first record: configuration and environment."""
    steps: tuple[StepPoint, ...]
    events: tuple[Mapping[str, Any], ...]

    @property
    def name(self) -> str:
        """What was trained on what, as the trainer named it."""
        return str(self.result.get("name") or self.start.get("name") or self.folder.name)

    @property
    def metric(self) -> str:
        """Name of the growth and test metric."""
        return str(self.result.get("metric") or "accuracy")

    @property
    def higher_is_better(self) -> bool:
        """Direction of the metric."""
        return bool(self.result.get("higher_is_better", True))


def read_run(folder: Path) -> RunRecord:
    """Read a run folder.

    Raises:
        RunFolderError: the folder does not exist, holds no `report.json`, or a file in it is
            not what its name says.
    """
    if not folder.is_dir():
        raise RunFolderError(f"{folder} is not a folder; give the --output folder of a run")
    log = list(_log_records(folder / LOG_FILE))
    starts = [record for record in log if record.get("type") == "start"]
    return RunRecord(
        folder=folder,
        growth=_read_growth(folder / REPORT_FILE),
        result=_read_object(folder / RESULT_FILE),
        start=starts[0] if starts else {},
        steps=tuple(_step_point(record) for record in log if record.get("type") == "step"),
        events=tuple(record for record in log if record.get("type") == "event"),
    )


def _read_growth(path: Path) -> GrowthReport:
    if not path.exists():
        raise RunFolderError(
            f"{path.parent} holds no {path.name}: the run has not finished, or this is not a run "
            "folder. Finish it with `esper train --resume FOLDER`"
        )
    try:
        return GrowthReport.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the top level"
        raise RunFolderError(f"{path}: {first['msg']} at {where}") from error


def _read_object(path: Path) -> Mapping[str, Any]:
    if not path.exists():
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RunFolderError(f"{path} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise RunFolderError(f"{path} holds a {type(value).__name__}, not an object")
    return value


def _log_records(path: Path) -> Iterator[Mapping[str, Any]]:
    if not path.exists():
        return
    lines = path.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
        except ValueError as error:
            if number == len(lines):
                return  # the process was killed while it wrote this line
            raise RunFolderError(f"{path} line {number} is not JSON: {error}") from error
        if isinstance(record, dict):
            yield record


def _step_point(record: Mapping[str, Any]) -> StepPoint:
    return StepPoint(
        step=int(record["step"]),
        train_loss=float(record["train_loss"]),
        learning_rate=record.get("lr"),
        alpha=dict(record.get("alpha") or {}),
    )
