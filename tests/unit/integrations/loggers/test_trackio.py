from __future__ import annotations

from esper.integrations.loggers.feed import LoggerFeed
from esper.integrations.loggers.trackio import TrackioLogger
from support import logged_runs


def log(name: str, *lines: logged_runs.Line) -> None:
    with LoggerFeed(TrackioLogger("growing", name=name)) as feed:
        for line in lines:
            feed(line)
    assert (feed.failures, feed.dropped) == (0, 0)


def losses(name: str) -> list[tuple[int, float]]:
    from trackio.sqlite_storage import SQLiteStorage

    rows = SQLiteStorage.get_logs("growing", name)
    return [(row["step"], row["train_loss"]) for row in rows if "train_loss" in row]


def test_trackio_gives_back_the_figures_and_the_settings() -> None:
    from trackio import Api

    log("whole", *logged_runs.lines())
    assert losses("whole") == [(10, 1.0), (20, 0.5)]
    (run,) = [run for run in Api().runs("growing") if run.name == "whole"]
    assert run.config is not None
    assert run.config["config"]["optimizer"]["lr"] == 0.01


def test_a_run_of_the_same_name_is_gone_on_with() -> None:
    log("resumed", logged_runs.START, logged_runs.step(10, 1.0))
    log("resumed", {"type": "resume", "step": 15}, logged_runs.step(20, 0.5))
    assert losses("resumed") == [(10, 1.0), (20, 0.5)]
