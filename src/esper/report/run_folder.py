"""Reads the folder that a training run leaves, and checks that it is one.

===============  ==================================================================
`run.jsonl`      the log: one JSON object a line with a `type`
`report.json`    the growth record, where the log has none
`result.json`    the trainer's closing figures, where the log has none
===============  ==================================================================

A log that a killed process cut short in its last line is read up to that line.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from pydantic import ValidationError

from esper.contracts.base import LONGEST_LINE
from esper.contracts.enums import RunState
from esper.contracts.errors import RunFolderError
from esper.contracts.events import HealthMeasured
from esper.contracts.growth import GrowthReport
from esper.contracts.records import GrowthClosed, RunEnded, StepLogged, parse_record
from esper.contracts.runs import Curve
from esper.report.run_account import Line, RunAccount
from esper.services.nissa.projection import figures_of, state_of, step_of
from esper.services.nissa.thinning import curve_of
from esper.utils.plain_file import open_plain, read_record

REPORT_FILE = "report.json"
RESULT_FILE = "result.json"
LOG_FILE = "run.jsonl"
POINTS = 1500
"""Most points that are drawn of one curve."""
_LARGEST = 1 << 28
"""Most bytes of a report or a result; longer runs than any have less."""


@dataclass(frozen=True, kw_only=True)
class RecordedRun:
    """A run as its folder has it."""

    account: RunAccount
    curves: Mapping[str, Curve]
    """By the names that `Curve.name` lists."""


def read_run(folder: Path) -> RecordedRun:
    """Read a run folder.

    Raises:
        RunFolderError: the folder does not exist, holds neither the end of a run nor its report,
            or a file in it is not what its name says.
    """
    if not folder.is_dir():
        raise RunFolderError(f"{folder} is not a folder; give the --output folder of a run")
    bodies = list(log_records(folder / LOG_FILE))
    lines, unread = _parsed(bodies)
    lines += _missing(folder, lines)
    if not any(isinstance(line, GrowthClosed | RunEnded) for line in lines):
        raise RunFolderError(
            f"{folder} holds no {REPORT_FILE}: the run has not finished, or this is not a run "
            "folder. Finish it with `esper train --resume FOLDER`"
        )
    states = [state for body in bodies if (state := state_of(body)) is not None]
    account = RunAccount(
        lines=tuple(lines),
        state=states[-1] if states else RunState.FINISHED,
        newest_step=max((step_of(body) for body in bodies), default=0),
        folder=str(folder.absolute()),
        unread=unread,
    )
    return RecordedRun(account=account, curves=_curves(account, bodies))


def _parsed(bodies: list[dict[str, Any]]) -> tuple[list[Line], int]:
    lines: list[Line] = []
    unread = 0
    for body in bodies:
        try:
            line = parse_record(body)
        except ValidationError:
            unread += 1
            continue
        if not isinstance(line, StepLogged | HealthMeasured):
            lines.append(line)
    return lines, unread


def _missing(folder: Path, lines: list[Line]) -> list[Line]:
    """What the log does not have, but a file beside it."""
    found: list[Line] = []
    report, result = folder / REPORT_FILE, folder / RESULT_FILE
    if report.exists() and not any(isinstance(line, GrowthClosed) for line in lines):
        growth = read_record(report, GrowthReport, most=_LARGEST)
        found.append(GrowthClosed(step=growth.steps, report=growth))
    if result.exists() and not any(isinstance(line, RunEnded) for line in lines):
        closing = read_record(result, dict[str, Any], most=_LARGEST)
        found.append(RunEnded(step=step_of({"step": closing.get("steps")}), result=closing))
    return found


def _curves(account: RunAccount, bodies: list[dict[str, Any]]) -> dict[str, Curve]:
    points: dict[str, list[tuple[int, float | None]]] = {}
    for body in bodies:
        for name, value in figures_of(body):
            points.setdefault(name, []).append((step_of(body), value))
    for name in ("train_loss", "growth_loss", "growth_metric"):  # a folder without its log
        if name not in points:
            points[name] = [(one.step, getattr(one, name)) for one in account.growth.curve]
    return {name: _curve(name, found) for name, found in points.items()}


def _curve(name: str, points: list[tuple[int, float | None]]) -> Curve:
    found = np.array(points, dtype=np.float64).reshape(-1, 2)
    return curve_of(name, found[:, 0].astype(np.int64), found[:, 1], POINTS)


def log_records(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the records of a run log in order; a last line that was cut short is left out.

    Raises:
        RunFolderError: another line is not JSON or too long, or the log cannot be read.
    """
    if not path.exists():
        return
    try:
        with open_plain(path) as file:
            yield from _records(path, file)
    except OSError as error:
        raise RunFolderError(f"{path} cannot be read: {error.strerror}") from error


def _records(path: Path, file: BinaryIO) -> Iterator[dict[str, Any]]:
    for number, text in enumerate(iter(partial(file.readline, LONGEST_LINE + 1), b""), start=1):
        if len(text) > LONGEST_LINE:
            raise RunFolderError(f"{path} line {number} has more than {LONGEST_LINE} bytes")
        try:
            record = json.loads(text)
        except (ValueError, RecursionError) as error:
            if not file.read(1):
                return  # the process was killed while it wrote this line
            raise RunFolderError(f"{path} line {number} is not JSON: {error}") from error
        if isinstance(record, dict):
            yield record
