"""Export: a run in formats that other programs read.

CSV and Parquet hold the curves, one row for each point: `run_id`, `name` of the figure, `step`,
`value`. JSON lines hold everything: the run's log, line by line.
"""

from __future__ import annotations

import csv
import io
from enum import StrEnum
from typing import Final

import orjson

from esper.contracts.runs import Curve
from esper.services.nissa.run_store import RunStore
from esper.utils import extras

_ALL: Final = 2**62


class ExportFormat(StrEnum):
    """What a run can be written as."""

    CSV = "csv"
    """Curves; a value that was not finite is empty."""
    PARQUET = "parquet"
    """Curves; a value that was not finite is null."""
    JSONL = "jsonl"
    """The log."""


async def export(store: RunStore, run_id: str, form: ExportFormat) -> bytes:
    """Return a run in a format.

    Args:
        store: Where the run is.
        run_id: Its whole id.
        form: The format.

    Raises:
        RunStoreError: The store cannot serve.
        ConfigError: Parquet needs a package that is not installed.
    """
    if form is ExportFormat.JSONL:
        log = [(line.position, orjson.dumps(line.body)) async for line in store.every_line(run_id)]
        return b"".join(text + b"\n" for _, text in sorted(log))
    names = await store.curve_names(run_id)
    curves = [await store.curve(run_id, name, points=_ALL) for name in names]
    if form is ExportFormat.CSV:
        return _csv(run_id, curves)
    parquet = extras.load("esper.services.nissa.export_parquet", extra="parquet")
    written: bytes = parquet.parquet(run_id, curves)
    return written


def _csv(run_id: str, curves: list[Curve]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("run_id", "name", "step", "value"))
    for curve in curves:
        points = zip(curve.steps, curve.values, strict=True)
        writer.writerows((run_id, curve.name, step, value) for step, value in points)
    return text.getvalue().encode()
