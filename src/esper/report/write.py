"""Writes a run's report: `report.html`, and its curves as a picture, into the run's folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from esper.report import chart, drawing
from esper.report.page import render
from esper.report.run_account import RunAccount
from esper.report.run_folder import read_run

PAGE_FILE = "report.html"


@dataclass(frozen=True, kw_only=True)
class WrittenReport:
    """What was written, and the account that it tells."""

    page: Path
    pictures: tuple[Path, ...]
    run: RunAccount


def write_report(folder: Path) -> WrittenReport:
    """Write the report of the run in `folder`; an older report there is replaced.

    Args:
        folder: the `--output` folder of a training run.

    Raises:
        RunFolderError: the folder is not that of a run, or its record cannot be read.
    """
    recorded = read_run(folder)
    pictures = []
    for figure in chart.FIGURES[:2]:
        shown = chart.run_chart(recorded.account, figure, recorded.curves)
        if shown.series:
            path = folder / f"curve-{figure.key}.svg"
            _replace(path, drawing.standalone(drawing.draw(shown)))
            pictures.append(path)
    page = folder / PAGE_FILE
    _replace(page, render(recorded))
    return WrittenReport(page=page, pictures=tuple(pictures), run=recorded.account)


def _replace(path: Path, text: str) -> None:
    """Put a whole file in place at once: a reader sees the old report or the new one."""
    partial = path.with_name(path.name + ".part")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
