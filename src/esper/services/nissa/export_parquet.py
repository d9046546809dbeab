"""Parquet: curves as one table. Needs the extra `parquet`."""

from __future__ import annotations

import io
from collections.abc import Sequence

import pyarrow as pa
from pyarrow import parquet as files

from esper.contracts.runs import Curve


def parquet(run_id: str, curves: Sequence[Curve]) -> bytes:
    """Return a file with the columns `run_id`, `name`, `step` and `value`, a row for each point."""
    counts = [len(curve.steps) for curve in curves]
    names = [c.name for c, count in zip(curves, counts, strict=True) for _ in range(count)]
    table = pa.table(
        {
            "run_id": pa.array([run_id] * sum(counts), pa.string()).dictionary_encode(),
            "name": pa.array(names, pa.string()).dictionary_encode(),
            "step": pa.array([step for c in curves for step in c.steps], pa.int64()),
            "value": pa.array([value for c in curves for value in c.values], pa.float64()),
        }
    )
    buffer = io.BytesIO()
    files.write_table(table, buffer)
    return buffer.getvalue()
