"""Reads the folder that a training run leaves, and checks that it is one.

===============  ==================================================================
`report.json`    the growth record, `contracts.growth.GrowthReport`; a run that was not
                 to grow has none
`result.json`    the trainer's closing figures, test result included
`run.jsonl`      the log: one JSON object a line with a `type`
===============  ==================================================================

A log that a killed process cut short in its last line is read up to that line.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from esper.contracts.errors import RunFolderError
from esper.contracts.growth import CostAccount, CurvePoint, GrowthReport
from esper.report import wording

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
        return str(self.result.get("metric") or self.start.get("metric") or "metric")

    @property
    def percent(self) -> bool:
        """Whether the metric is shown as a percentage."""
        return bool(self.result.get("percent", wording.is_percentage(self.metric)))

    @property
    def seed(self) -> int | None:
        """Of everything random in the run; None where the log does not say."""
        return (self.start.get("config") or {}).get("seed")

    @property
    def splits(self) -> Mapping[str, int]:
        """Samples by split: train, growth, test."""
        return self.start.get("split") or {}

    @property
    def grows(self) -> bool:
        """Whether the run was allowed to grow."""
        return bool((self.start.get("config") or {}).get("grow", True))

    def score(self, value: float | None) -> str:
        """A value of the metric in its form."""
        return wording.score(value, is_percent=self.percent)


def read_run(folder: Path) -> RunRecord:
    """Read a run folder.

    Raises:
        RunFolderError: the folder does not exist, holds no `report.json`, or a file in it is
            not what its name says.
    """
    if not folder.is_dir():
        raise RunFolderError(f"{folder} is not a folder; give the --output folder of a run")
    log = list(log_records(folder / LOG_FILE))
    result = _read_object(folder / RESULT_FILE)
    starts = [record for record in log if _is(record, "start")]
    return RunRecord(
        folder=folder,
        growth=_read_growth(folder / REPORT_FILE) or _static_growth(folder, result, log),
        result=result,
        start=starts[0] if starts else {},
        steps=tuple(
            _step_point(record)
            for record in log
            if _is(record, "step") and record.get("train_loss") is not None
        ),
        events=tuple(record for record in log if _is(record, "event")),
    )


def _read_growth(path: Path) -> GrowthReport | None:
    if not path.exists():
        return None
    try:
        return GrowthReport.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the top level"
        raise RunFolderError(f"{path}: {first['msg']} at {where}") from error


def _static_growth(
    folder: Path, result: Mapping[str, Any], log: Sequence[Mapping[str, Any]]
) -> GrowthReport:
    """The record of a run whose growth was switched off: its curve, and nothing else."""
    if not result:
        raise RunFolderError(
            f"{folder} holds no {REPORT_FILE}: the run has not finished, or this is not a run "
            "folder. Finish it with `esper train --resume FOLDER`"
        )
    fields = CurvePoint.model_fields
    curve = [{name: record.get(name) for name in fields} for record in log if _is(record, "eval")]
    return GrowthReport(
        steps=int(result["steps"]),
        total_steps=int(result["total_steps"]),
        curve=tuple(CurvePoint.model_validate(point) for point in curve),
        races=(),
        decisions=(),
        cost=CostAccount(host=0.0, shadow=0.0, evaluation=0.0, static=0.0),
        parameters_before=int(result["parameters_before"]),
        parameters_after=int(result["parameters_after"]),
        before=(),
        after=(),
        summary=str(result.get("summary", "")),
    )


def _is(record: Mapping[str, Any], kind: str) -> bool:
    return record.get("type") == kind


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


def log_records(path: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the records of a run log in order; a last line that was cut short is left out.

    Raises:
        RunFolderError: another line is not JSON.
    """
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
