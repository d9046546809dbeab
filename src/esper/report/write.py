"""Writes a run's report: `report.html` and one PNG for each picture, into the run's folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from esper.report.account import cost_account
from esper.report.architecture import architectures
from esper.report.curves import learning_curves
from esper.report.evidence import counterfactuals
from esper.report.findings import grafts
from esper.report.page import Pictures, render
from esper.report.run_folder import RunRecord, read_run
from esper.report.standings import race_standings
from esper.report.story import Story, tell

PAGE_FILE = "report.html"


@dataclass(frozen=True, kw_only=True)
class WrittenReport:
    """What was written, and the run in words."""

    page: Path
    pictures: tuple[Path, ...]
    run: RunRecord
    story: Story


def write_report(folder: Path) -> WrittenReport:
    """Write the report of the run in `folder`; an older report there is replaced.

    Args:
        folder: the `--output` folder of a training run.

    Raises:
        RunFolderError: the folder is not that of a run, or its record cannot be read.
    """
    run = read_run(folder)
    pictures = draw(run)
    written = []
    for drawing in pictures.all():
        path = folder / f"{drawing.name}.png"
        _replace(path, drawing.png())
        written.append(path)
    page = folder / PAGE_FILE
    _replace(page, render(run, pictures).encode("utf-8"))
    return WrittenReport(page=page, pictures=tuple(written), run=run, story=tell(run))


def draw(run: RunRecord) -> Pictures:
    """Choose the drawings that the record has something to show for."""
    winners = {graft.chosen.step: graft.candidate for graft in grafts(run.growth)}
    return Pictures(
        curves=learning_curves(run),
        architecture=architectures(run.growth),
        races=[
            race_standings(race, winners.get(race.end)) for race in run.growth.races if race.rungs
        ],
        evidence=counterfactuals(run),
        cost=cost_account(run.growth.cost),
    )


def _replace(path: Path, data: bytes) -> None:
    """Put a whole file in place at once: a reader sees the old report or the new one."""
    partial = path.with_name(path.name + ".part")
    partial.write_bytes(data)
    partial.replace(path)
