from __future__ import annotations

from pathlib import Path

from esper.contracts.records import parse_record
from esper.integrations.loggers.feed import LoggerFeed
from esper.integrations.loggers.trackio import TrackioLogger
from support import logged_runs


def log(folder: Path, *lines: logged_runs.Line) -> None:
    with LoggerFeed(TrackioLogger("growing", run_folder=folder)) as feed:
        for line in lines:
            feed(parse_record(line))
    assert (feed.failures, feed.dropped) == (0, 0)


def losses(name: str) -> list[tuple[int, float]]:
    from trackio.sqlite_storage import SQLiteStorage

    rows = SQLiteStorage.get_logs("growing", name)
    return [(row["step"], row["train_loss"]) for row in rows if "train_loss" in row]


def test_trackio_gives_back_the_figures_and_the_settings(tmp_path: Path) -> None:
    from trackio import Api

    log(logged_runs.begun(tmp_path / "whole", "abcdef0123"), *logged_runs.lines())
    assert losses("whole-abcdef01") == [(10, 1.0), (20, 0.5)]
    (run,) = [run for run in Api().runs("growing") if run.name == "whole-abcdef01"]
    assert run.config is not None
    assert run.config["config"]["optimizer"]["lr"] == 0.01


def test_a_run_that_is_resumed_is_gone_on_with(tmp_path: Path) -> None:
    folder = logged_runs.begun(tmp_path / "resumed", "0123456789")
    log(folder, logged_runs.START, logged_runs.step(10, 1.0))
    log(folder, {"type": "resume", "step": 15, "environment": {}}, logged_runs.step(20, 0.5))
    assert losses("resumed-01234567") == [(10, 1.0), (20, 0.5)]
