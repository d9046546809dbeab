"""The results table of the README and the index of the benchmarks, from what was measured.

Figures are copied, never computed here: a table shows what stands in `docs/benchmarks/`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from docs.generator.prose import table
from docs.generator.source import ROOT

FOLDER = ROOT / "docs" / "benchmarks"
DATED = re.compile(r"^(?P<name>.+)-(?P<date>\d{4}-\d{2}-\d{2})$")
FEWEST_SEEDS = 3
"""A figure from fewer seeds is listed among the benchmarks, but is no result."""


@dataclass(frozen=True)
class Measured:
    """One benchmark's file."""

    name: str
    date: str
    path: Path
    title: str
    machine: str
    rows: tuple[dict[str, str], ...]

    @property
    def seeds(self) -> int:
        """How many seeds each arm was run with; 0 for a benchmark without seeds."""
        counts = [row["by seed"].count("/") + 1 for row in self.rows if "by seed" in row]
        return min(counts, default=0)


def newest() -> list[Measured]:
    """The newest file of each benchmark, by name."""
    found: dict[str, Path] = {}
    for path in sorted(FOLDER.glob("*.md"), key=lambda p: p.name):
        match = DATED.match(path.stem)
        if match:
            found[match["name"]] = max(found.get(match["name"], path), path, key=lambda p: p.stem)
    return [_read(name, path) for name, path in sorted(found.items())]


def _read(name: str, path: Path) -> Measured:
    lines = path.read_text(encoding="utf-8").splitlines()
    match = DATED.match(path.stem)
    assert match
    cells = [[c.strip() for c in line.strip("|").split("|")] for line in lines if line[:1] == "|"]
    heads, rows = (cells[0], cells[2:]) if cells else ([], [])
    return Measured(
        name=name,
        date=match["date"],
        path=path,
        title=lines[0].removeprefix("# "),
        machine=lines[2].partition(", ")[2].rstrip("."),
        rows=tuple(dict(zip(heads, row, strict=False)) for row in rows),
    )


def readme_table() -> str:
    """Every arm of every growth benchmark that was run with enough seeds."""
    rows = []
    for result in newest():
        if not result.name.startswith("growth-") or result.seeds < FEWEST_SEEDS:
            continue
        link = (
            f"[{result.name.removeprefix('growth-')}]({result.path.relative_to(ROOT).as_posix()})"
        )
        for row in result.rows:
            rows.append((link, row["arm"], row["test"], row["compute"], row["parameters"]))
            link = ""
    if not rows:
        return "No benchmark has been run with enough seeds yet; `make bench-growth` runs them."
    return table(("data set", "run", "test", "compute", "parameters"), rows)


def index() -> str:
    """One line for each benchmark: when and where it was last run, over how many seeds."""
    rows = [
        (
            f"[{r.title}]({r.path.name})",
            r.date,
            r.machine,
            str(r.seeds) if r.seeds else "",
        )
        for r in newest()
    ]
    if not rows:
        return "None has been run yet."
    return table(("benchmark", "date", "machine and versions", "seeds"), rows)
