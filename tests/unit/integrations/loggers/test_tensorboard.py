from __future__ import annotations

from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from esper.contracts.records import parse_record
from esper.integrations.loggers.feed import LoggerFeed
from esper.integrations.loggers.tensorboard import TensorBoardLogger
from support import logged_runs


def written(folder: Path, *lines: logged_runs.Line) -> EventAccumulator:
    with LoggerFeed(TensorBoardLogger(folder)) as feed:
        for line in lines:
            feed(parse_record(line))
    assert feed.failures == 0
    found = EventAccumulator(str(folder))
    found.Reload()
    return found


def curve(found: EventAccumulator, name: str) -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in found.Scalars(name)]


def test_tensorboard_reads_back_the_curves_of_a_run(tmp_path: Path) -> None:
    found = written(tmp_path, *logged_runs.lines())
    assert curve(found, "train_loss") == [(10, 1.0), (20, 0.5)]
    assert curve(found, "parameters") == [(0, 100), (20, 120), (30, 120)]
    assert curve(found, "health/net.0/dead_neuron_ratio") == [(10, 0.25)]


def test_tensorboard_reads_back_the_settings(tmp_path: Path) -> None:
    found = written(tmp_path, *logged_runs.lines())
    content = found.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    assert b"config/optimizer/lr" in content


def test_points_that_a_resumed_run_writes_again_stand_once(tmp_path: Path) -> None:
    written(tmp_path, logged_runs.START, logged_runs.step(10, 1.0), logged_runs.step(20, 9.0))
    found = written(
        tmp_path, {"type": "resume", "step": 15, "environment": {}}, logged_runs.step(20, 0.5)
    )
    assert curve(found, "train_loss") == [(10, 1.0), (20, 0.5)]
