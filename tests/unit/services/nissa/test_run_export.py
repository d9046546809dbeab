from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from pyarrow import parquet

from esper.services.nissa.run_export import ExportFormat, export
from esper.services.nissa.run_store import RunStore
from support import logged_runs
from support.run_deliveries import delivery, read

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[RunStore]:
    opened = await RunStore.open(f"sqlite:///{tmp_path / 'runs.db'}")
    lines = logged_runs.lines()
    # The second half comes first: the export has the order of the log.
    await opened.append(read([delivery(lines[5:], begin=50)]))
    await opened.append(read([delivery(lines[:5])]))
    yield opened
    await opened.close()


async def test_json_lines_are_the_log(store: RunStore) -> None:
    data = await export(store, "run-1", ExportFormat.JSONL)
    assert [json.loads(line) for line in data.splitlines()] == logged_runs.lines()


async def test_csv_has_every_point_of_every_curve(store: RunStore) -> None:
    data = await export(store, "run-1", ExportFormat.CSV)
    rows = list(csv.DictReader(io.StringIO(data.decode())))
    assert {row["run_id"] for row in rows} == {"run-1"}
    loss = [(row["step"], row["value"]) for row in rows if row["name"] == "train_loss"]
    assert loss == [("10", "1.0"), ("20", "0.5"), ("30", "")]
    assert {row["name"] for row in rows} == set(await store.curve_names("run-1"))


async def test_parquet_is_the_same_table(store: RunStore) -> None:
    data = await export(store, "run-1", ExportFormat.PARQUET)
    table = parquet.read_table(io.BytesIO(data)).to_pylist()
    text = (await export(store, "run-1", ExportFormat.CSV)).decode()
    rows = [
        {**row, "step": int(row["step"]), "value": float(row["value"]) if row["value"] else None}
        for row in csv.DictReader(io.StringIO(text))
    ]
    assert table == rows


async def test_a_run_that_the_store_does_not_have_is_empty(store: RunStore) -> None:
    assert await export(store, "nobody", ExportFormat.JSONL) == b""
    assert await export(store, "nobody", ExportFormat.CSV) == b"run_id,name,step,value\n"
