"""Proves the whole blueprint library: every kernel at every place, and compiles each graph once.

Every place is a layer of some supported type (`tests/support/places.py`). At each, the control
and all candidates are built and proven, eager. Each family in each size and mode is then compiled
at the first place that it fits, in a child process within the forge's limits, into a cache that
is empty at first; modes whose graphs differ in nothing but their initial weights compile to the
same, once. About half an hour on an idle core.

    python -m benchmarks.forge_library [--state FILE]

With `--state` a run that was broken off goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from benchmarks.results import Result
from esper.blueprints.library.catalog import candidates, control
from esper.contracts.assets import Blueprint
from esper.contracts.library import Target, ValidationReport
from esper.services.tezzeret.build_job import Builder, Proof
from esper.services.tezzeret.forge_config import TezzeretConfig
from esper.services.tezzeret.prove import prove
from esper.utils.clock import SystemClock
from support.forge import blueprint_at
from support.places import PLACES, geometry_at

BATCH = 32
EAGER = Target(batch_size=BATCH)
COMPILED = Target(batch_size=BATCH, compiled=True)


@dataclass
class Row:
    """One family in one size and mode."""

    place: str
    """The first that it fits."""
    blueprint: Blueprint
    """There."""
    graph: str
    """Its graph without initial weights."""
    eager: list[ValidationReport] = field(default_factory=list)
    """One for each place."""
    compiled: ValidationReport | None = None


class State:
    """Reports by key, kept in a file from one run to the next.

    Args:
        path: JSON lines; None keeps nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._known: dict[str, Any] = {}
        if path is not None and path.exists():
            lines = path.read_text(encoding="utf-8").splitlines()
            self._known = dict(json.loads(line) for line in lines)

    def report(self, key: str, make: Callable[[], ValidationReport]) -> ValidationReport:
        """The report under a key; made where it is not known yet."""
        if key not in self._known:
            report = make()
            self._known[key] = report.model_dump(mode="json")
            if self._path is not None:
                with self._path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps([key, self._known[key]]) + "\n")
            print(f"{key}: {report.reason or f'{report.seconds:.1f} s'}", flush=True)
        return ValidationReport.model_validate(self._known[key])


def offers() -> Iterator[tuple[str, Blueprint]]:
    """Every kernel of the library at every place."""
    for place in PLACES:
        geometry = geometry_at(place)
        for entry in [control(geometry), *candidates(geometry)]:
            yield place, blueprint_at(geometry, entry)


def without_start(blueprint: Blueprint) -> str:
    """A graph as text, its initial weights left out."""
    graph = json.loads(json.dumps(blueprint.architecture))
    for node in graph["nodes"]:
        node["attrs"].pop("init", None)
    return json.dumps(graph, sort_keys=True)


def prove_all(state: State) -> dict[str, Row]:
    """The eager proofs, by family, size and mode."""
    rows: dict[str, Row] = {}
    for place, blueprint in offers():
        key = f"{blueprint.name} {blueprint.mode.value}"
        row = rows.setdefault(key, Row(place, blueprint, without_start(blueprint)))
        make = lambda given=blueprint: prove(given, [EAGER]).report  # noqa: E731 short
        row.eager.append(state.report(f"eager {key} at {place}", make))
    return rows


def compile_all(state: State, rows: dict[str, Row]) -> int:
    """The compiled proofs, each in a process of its own; the number of graphs."""
    by_graph: dict[str, list[Row]] = {}
    for row in rows.values():
        by_graph.setdefault(row.graph, []).append(row)
    with tempfile.TemporaryDirectory() as cache:
        config = TezzeretConfig(targets=(COMPILED,), compile_cache=Path(cache), niceness=0)
        build = Builder(config, SystemClock())

        def built(blueprint: Blueprint) -> ValidationReport:
            outcome = build(blueprint)
            if isinstance(outcome, Proof):
                return outcome.report
            nothing = prove(blueprint, []).report
            return nothing.model_copy(update={"passed": False, "reason": str(outcome)})

        for twins in by_graph.values():
            first = twins[0].blueprint
            key = f"compiled {first.name} {first.mode.value} at {twins[0].place}"
            report = state.report(key, lambda given=first: built(given))
            for row in twins:
                row.compiled = report
    return len(by_graph)


def cells(key: str, row: Row) -> list[str]:
    """A row of the table."""
    name, mode = key.split()
    proven = sum(report.passed for report in row.eager)
    eager = [report.latencies[0].median_us for report in row.eager if report.latencies]
    done = row.compiled
    assert done is not None
    return [
        name,
        mode,
        f"{proven} of {len(row.eager)}",
        f"{statistics.median(eager):.0f}" if eager else "",
        row.place,
        "yes" if done.passed else f"NO: {done.reason}",
        f"{done.latencies[0].median_us:.0f}" if done.latencies else "",
        f"{done.seconds:.1f}",
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description="Prove the whole blueprint library.")
    parser.add_argument("--state", type=Path, help="reports so far; made if it is not there")
    state = State(parser.parse_args().state)
    torch.set_num_threads(1)
    # PyTorch's own remark on one of the hosts.
    warnings.filterwarnings("ignore", message="Using padding='same' with even kernel")
    offered: dict[str, Row] = {}
    for place, blueprint in offers():
        key = f"{blueprint.name} {blueprint.mode.value}"
        offered.setdefault(key, Row(place, blueprint, without_start(blueprint)))
    graphs = compile_all(state, offered)
    rows = prove_all(state)
    for key, row in rows.items():
        row.compiled = offered[key].compiled
    return publish(rows, graphs)


def publish(rows: dict[str, Row], graphs: int) -> int:
    """Print and write the table; the exit status."""
    reports = [report for row in rows.values() for report in row.eager]
    proven = sum(report.passed for report in reports)
    compiled = sum(row.compiled is not None and row.compiled.passed for row in rows.values())
    seconds = [report.seconds for report in reports]
    whole = list(
        {row.graph: row.compiled.seconds for row in rows.values() if row.compiled}.values()
    )
    eager = (
        f"**Proven: {proven} of {len(reports)}** kernels at {len(PLACES)} places, eager, in "
        f"{sum(seconds):.0f} s (median {statistics.median(seconds):.2f} s, longest "
        f"{max(seconds):.2f} s)."
    )
    built = (
        f"**Compiled: {compiled} of {len(rows)}** families in every size and mode, which are "
        f"{graphs} graphs, each with forward and backward, from an empty cache, in {sum(whole):.0f} "
        f"s (median {statistics.median(whole):.1f} s, longest {max(whole):.1f} s, the proof "
        "included)."
    )
    how = (
        f"Bar: 100 % of the library. Latencies are of evaluation at batch {BATCH}, the eager one "
        "the median over places; one thread, on a machine that had other work at the time: times "
        "are of that machine, verdicts are not. torch leaves recurrent nets as they are: for `gru` "
        "and `lstm` compiled means that the layers around them are."
    )
    columns = ["blueprint", "mode", "proven", "eager µs", "compiled at", "compiled", "µs", "s"]
    table = [cells(key, row) for key, row in sorted(rows.items())]
    title = "The forge on the whole library"
    Result("forge-library", title, columns, table, [eager, built, how]).publish()
    met = proven == len(reports) and compiled == len(rows)
    print("bar met" if met else "THE BAR IS MISSED")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
