from __future__ import annotations

import csv
import threading
from pathlib import Path
from typing import Any

import pytest

from esper.contracts.errors import ConfigError
from esper.contracts.events import SeedFossilized
from esper.contracts.ports import TelemetrySink
from esper.contracts.records import KernelsDelivered, parse_record
from esper.integrations.loggers.feed import LoggerFeed
from support import logged_runs


class Recorder:
    """The smallest logger."""

    def __init__(self) -> None:
        self.metrics: list[tuple[int | None, dict[str, float]]] = []
        self.params: dict[str, Any] = {}
        self.ended: list[str] = []
        self.threads: set[str] = set()

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self.threads.add(threading.current_thread().name)
        self.metrics.append((step, metrics))

    def log_hyperparams(self, params: dict[str, Any]) -> None:
        self.params = params

    def finalize(self, status: str) -> None:
        self.ended.append(status)


class CsvFile:
    """Behaves as Lightning's own logger for CSV files: buffers until `save`, takes no settings."""

    name = "run"
    version = 0

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: list[dict[str, float]] = []

    def log_hyperparams(self, params: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError("does not yet support logging hyperparameters")

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self._rows.append({**metrics, "step": len(self._rows) if step is None else step})

    def save(self) -> None:
        names = list(dict.fromkeys(name for row in self._rows for name in row))
        with self._path.open("w", newline="") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(self._rows)

    def finalize(self, status: str) -> None:
        self.save()


class Broken(Recorder):
    """Fails at every second call."""

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        super().log_metrics(metrics, step)
        if len(self.metrics) % 2:
            raise OSError("disk full")


class Hung(Recorder):
    """Answers when it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()
        self.reached = threading.Event()

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self.reached.set()
        self.go.wait(30)
        super().log_metrics(metrics, step)


def fed(logger: Any, lines: list[logged_runs.Line]) -> LoggerFeed:
    with LoggerFeed(logger) as feed:
        for line in lines:
            feed(parse_record(line))
    return feed


def test_a_run_reaches_the_logger_with_settings_figures_and_end() -> None:
    logger = Recorder()
    feed = fed(logger, logged_runs.lines())
    assert logger.params["config"]["seed"] == 3
    assert [s for s, m in logger.metrics if "train_loss" in m] == [10, 20]
    assert logger.metrics[-1][1]["test_metric"] == 0.9
    assert logger.ended == ["success"]
    assert (feed.dropped, feed.failures) == (0, 0)


def test_only_the_thread_of_the_feed_calls_the_logger() -> None:
    logger = Recorder()
    fed(logger, logged_runs.lines())
    assert logger.threads == {"logger-Recorder"}


def test_a_run_that_raises_is_finalized_as_failed() -> None:
    logger = Recorder()
    feed = LoggerFeed(logger)
    feed(parse_record(logged_runs.step(10, 1.0)))
    with pytest.raises(ZeroDivisionError), feed:
        raise ZeroDivisionError
    assert logger.ended == ["failed"]


def test_an_interrupted_run_is_finalized_as_failed() -> None:
    logger = Recorder()
    fed(logger, [logged_runs.START, {"type": "interrupted", "step": 5, "signal": 2}])
    assert logger.ended == ["failed"]


def test_a_logger_that_was_given_nothing_is_left_alone() -> None:
    logger = Recorder()
    fed(logger, [])
    assert logger.ended == []


def test_records_without_figures_are_passed_over() -> None:
    logger = Recorder()
    with LoggerFeed(logger) as feed:
        feed(KernelsDelivered(step=3, kernels=1))
        feed(parse_record(logged_runs.step(10, 1.0)))
    assert len(logger.metrics) == 1
    assert feed.failures == 0


def test_what_lightning_logs_to_csv_can_be_read_back(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    feed = fed(CsvFile(path), logged_runs.lines())
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["train_loss"] for row in rows if row["train_loss"]] == ["1.0", "0.5"]
    assert feed.failures == 0


def test_a_logger_with_save_has_written_before_the_run_ends(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    written = threading.Event()

    class Watched(CsvFile):
        def save(self) -> None:
            super().save()
            written.set()

    with LoggerFeed(Watched(path)) as feed:
        feed(parse_record(logged_runs.step(10, 1.0)))
        assert written.wait(10)
        assert "1.0" in path.read_text()


def test_a_logger_that_raises_is_called_again_and_counted() -> None:
    logger = Broken()
    feed = fed(logger, logged_runs.lines())
    assert feed.failures == len(logger.metrics) - len(logger.metrics) // 2
    assert logger.ended == ["success"]


def test_a_logger_that_hangs_holds_nothing_up_and_what_it_misses_is_counted() -> None:
    logger = Hung()
    feed = LoggerFeed(logger, capacity=5)
    feed(parse_record(logged_runs.step(0, 1.0)))
    assert logger.reached.wait(10)
    for number in range(1, 21):
        feed(parse_record(logged_runs.step(number, 1.0)))
    assert feed.dropped == 15
    feed.close(drain_seconds=0.01)
    assert logger.ended == []
    logger.go.set()
    feed.close()
    assert [step for step, _ in logger.metrics] == list(range(6))


def test_a_sink_for_loops_of_ones_own_takes_events_and_figures() -> None:
    logger = Recorder()
    feed = LoggerFeed(logger)
    assert isinstance(feed, TelemetrySink)
    feed.log_metrics({"train_loss": 0.25}, 7)
    feed.emit(SeedFossilized(step=8, layer_name="net.0", host_dropped=True, parameters=120))
    feed.close()
    assert logger.metrics == [(7, {"train_loss": 0.25}), (8, {"parameters": 120.0})]


def test_closing_twice_is_closing_once() -> None:
    logger = Recorder()
    feed = fed(logger, [logged_runs.step(10, 1.0)])
    feed.close()
    assert logger.ended == ["success"]


def test_what_is_no_logger_is_refused_with_what_it_lacks() -> None:
    with pytest.raises(ConfigError, match="list is no logger: it has no log_metrics"):
        LoggerFeed([])  # type: ignore[arg-type]  # what is tested
