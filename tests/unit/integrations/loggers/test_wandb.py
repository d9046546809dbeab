from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from wandb.proto import wandb_internal_pb2

from esper.contracts.records import parse_record
from esper.integrations.loggers.feed import LoggerFeed
from esper.integrations.loggers.wandb import WandbLogger
from support import logged_runs

BLOCK, HEAD = 32768, 7


def records(path: Path) -> Iterator[Any]:
    """What an offline run's file holds: protocol buffers in blocks, as LevelDB writes its log."""
    data, at, whole = path.read_bytes(), HEAD, b""
    while at + HEAD <= len(data):
        if BLOCK - at % BLOCK < HEAD:
            at += BLOCK - at % BLOCK
        size, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        if at + HEAD + size > len(data):
            return  # still being written
        whole += data[at + HEAD : at + HEAD + size]
        at += HEAD + size
        if kind in {1, 4}:  # a whole record, or the last part of one
            record = wandb_internal_pb2.Record()
            record.ParseFromString(whole)
            whole = b""
            yield record


def finished(path: Path) -> list[Any]:
    """All records of a finished run: a process of W&B's writes them, a moment after `finish`."""
    deadline = time.monotonic() + 300
    while True:
        found = list(records(path))
        if any(one.WhichOneof("record_type") == "exit" for one in found):
            return found
        assert time.monotonic() < deadline, f"the run has no end: {len(found)} records"
        time.sleep(0.05)


def named(items: Any) -> dict[str, Any]:
    keys = [item.key or "/".join(item.nested_key) for item in items]
    return {key: json.loads(item.value_json) for key, item in zip(keys, items, strict=True)}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    monkeypatch.delenv("WANDB_MODE", raising=False)
    folder = logged_runs.begun(tmp_path / "first", "abc123")
    logger = WandbLogger("growing", run_folder=folder)
    with LoggerFeed(logger) as feed:
        for line in logged_runs.lines():
            feed(parse_record(line))
        feed(parse_record(logged_runs.step(5, 2.0)))  # of a run that was put back
    assert (feed.failures, feed.dropped) == (0, 0)
    (file,) = folder.glob("wandb/offline-run-*/run-abc123.wandb")
    return finished(file)


def test_an_offline_run_holds_name_settings_and_every_figure(run: list[Any]) -> None:
    (begun,) = [one.run for one in run if one.WhichOneof("record_type") == "run"][:1]
    assert (begun.project, begun.display_name, begun.run_id) == ("growing", "first", "abc123")
    settings = [named(one.config.update) for one in run if one.HasField("config")]
    assert any(each.get("config", {}).get("seed") == 3 for each in settings)
    rows = [named(one.history.item) for one in run if one.HasField("history")]
    losses = [(row["step"], row["train_loss"]) for row in rows if "train_loss" in row]
    assert losses == [(10, 1.0), (20, 0.5), (5, 2.0)]
    assert any(row.get("test_metric") == 0.9 for row in rows)


def test_figures_are_drawn_over_the_training_step(run: list[Any]) -> None:
    metrics = [one.metric for one in run if one.HasField("metric")]
    assert [(m.glob_name, m.step_metric) for m in metrics if m.glob_name] == [("*", "step")]


def test_the_run_is_left_with_its_exit_status(run: list[Any]) -> None:
    (ended,) = [one.exit for one in run if one.WhichOneof("record_type") == "exit"]
    assert ended.exit_code == 0
