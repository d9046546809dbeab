"""Results: a table on the screen, and the same table with date, machine and command in a file."""

from __future__ import annotations

import platform
import shlex
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import torch

import esper

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "benchmarks"


@dataclass(frozen=True)
class Result:
    """A finished benchmark.

    Args:
        name: file name without date, for example ``growth-mnist1d``.
        title: what was measured.
        columns: table heads.
        rows: table cells, as text.
        notes: paragraphs under the table: set-up and what follows from the figures.
    """

    name: str
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()

    def table(self) -> str:
        """The table in Markdown."""
        lines = [self.columns, ["---"] * len(self.columns), *self.rows]
        return "\n".join("| " + " | ".join(line) + " |" for line in lines)

    def publish(self, folder: Path = FOLDER) -> Path:
        """Print the table and write it down, dated; a result of the same day is replaced."""
        now = datetime.now(tz=UTC)
        text = "\n".join(
            [
                f"# {self.title}",
                "",
                f"{now:%Y-%m-%d}, {machine()}.",
                "",
                f"    {command()}",
                "",
                self.table(),
                "",
                *(f"{note}\n" for note in self.notes),
            ]
        )
        print(f"\n{text}")
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.name}-{now:%Y-%m-%d}.md"
        path.write_text(text, encoding="utf-8")
        return path


def machine() -> str:
    """Processor, threads and versions, in a line."""
    return (
        f"{platform.machine()} {platform.system()}, {torch.get_num_threads()} thread(s), Python "
        f"{platform.python_version()}, torch {torch.__version__}, esper {esper.__version__}"
    )


def command() -> str:
    """The command line that repeats this benchmark."""
    module = Path(sys.argv[0]).stem
    return shlex.join(["python", "-m", f"benchmarks.{module}", *sys.argv[1:]])


def spread(values: Sequence[float], digits: int = 1) -> str:
    """Mean ± standard deviation."""
    mean = statistics.fmean(values)
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{mean:.{digits}f} ± {deviation:.{digits}f}"
