from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from esper import bootstrap
from esper.contracts.errors import RegistryError
from esper.contracts.records import LogEntry, StepLogged
from esper.integrations.loggers.logger import Logger
from esper.services.tolaria.run_folder import LOG
from esper.services.tolaria.training_config import config_from_mapping


class Recorder:
    def __init__(self) -> None:
        self.curves: dict[str, list[tuple[int | None, float]]] = {}
        self.params: dict[str, Any] = {}
        self.ended: list[str] = []

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        for name, value in metrics.items():
            self.curves.setdefault(name, []).append((step, value))

    def log_hyperparams(self, params: dict[str, Any]) -> None:
        self.params = params

    def finalize(self, status: str) -> None:
        self.ended.append(status)


class Hung(Recorder):
    """Answers nothing before the run is over."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()

    def log_hyperparams(self, params: dict[str, Any]) -> None:
        self.go.wait(60)
        raise ConnectionError("the server is gone")


def train(folder: Path, loggers: Sequence[Logger | str] = (), **settings: Any) -> list[Any]:
    """Train a little; returns the figures of the run's log."""
    config = config_from_mapping(
        {"data": "digits", "steps": 60, "log_every": 10, "output": str(folder), **settings}
    )
    bootstrap.train(config, loggers=loggers)
    lines = [json.loads(line) for line in (folder / LOG).read_text().splitlines()]
    return [line for line in lines if line["type"] in {"step", "eval"}]


def test_a_run_is_logged_with_its_settings_from_start_to_end(tmp_path: Path) -> None:
    logger, seen = Recorder(), list[LogEntry]()
    config = config_from_mapping(
        {"data": "digits", "steps": 60, "log_every": 10, "output": str(tmp_path / "run")}
    )
    result, _ = bootstrap.train(config, loggers=[logger], on_record=seen.append)
    steps = [(line.step, line.train_loss) for line in seen if isinstance(line, StepLogged)]
    assert logger.curves["train_loss"] == steps
    assert logger.curves["test_metric"] == [(60, result.test_metric)]
    assert logger.params["config"]["data"] == "digits"
    assert logger.ended == ["success"]


def test_the_same_is_trained_with_loggers_that_write_fail_or_hang(tmp_path: Path) -> None:
    alone = train(tmp_path / "alone")
    hung = Hung()
    threading.Timer(3, hung.go.set).start()
    logged = train(tmp_path / "logged", ["tensorboard", Recorder(), hung])
    assert logged == alone
    one, two = (tmp_path / name / "model.pt" for name in ("alone", "logged"))
    assert one.read_bytes() == two.read_bytes()


def test_tensorboard_has_the_run_in_its_own_folder(tmp_path: Path) -> None:
    train(tmp_path / "run", ["tensorboard"], grow=False)
    found = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    found.Reload()
    assert [point.step for point in found.Scalars("train_loss")] == [10, 20, 30, 40, 50, 60]


def test_an_unknown_logger_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="no logger 'tensorbord'"):
        train(tmp_path / "run", ["tensorbord"])
    assert not (tmp_path / "run").exists()


def test_an_error_of_the_run_is_told_to_the_logger(tmp_path: Path) -> None:
    logger = Recorder()
    with pytest.raises(Exception, match="train loss"):
        train(tmp_path / "run", [logger], optimizer={"lr": 1e12}, grow=False)
    assert logger.ended == ["failed"]
