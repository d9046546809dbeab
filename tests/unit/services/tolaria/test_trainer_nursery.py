"""A run whose races are held in a worker process."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from esper.contracts.errors import ConfigError
from esper.contracts.events import RaceStarted
from esper.contracts.growth import GrowthReport
from esper.contracts.records import LogEntry, StepLogged
from esper.services.tezzeret.nursery_server import ProcessNursery
from esper.services.tolaria.signals import StopRequest
from esper.services.tolaria.trainer import TolariaTrainer
from esper.services.tolaria.training_config import TolariaConfig
from support.nurseries import LateNursery

Make = Callable[..., TolariaConfig]
SHORT: dict[str, Any] = {
    "data": "mnist1d",
    "steps": 200,
    "grow": True,
    "nursery": "process",
    "growth": {"first_check": 0.1, "rung": 0.05, "cooldown": 0.05, "scout_compute": 1.0},
}


def report_of(folder: Path) -> GrowthReport:
    return GrowthReport.model_validate_json((folder / "report.json").read_bytes())


def test_a_worker_killed_during_a_run_is_on_record_and_the_run_comes_to_its_end(
    make: Make,
) -> None:
    config = make(**SHORT)
    killed: list[int] = []
    with ProcessNursery() as nursery:

        def on_event(record: LogEntry) -> None:
            if isinstance(record, RaceStarted) and not killed:
                assert nursery.pid is not None
                os.kill(nursery.pid, signal.SIGKILL)
                killed.append(nursery.pid)

        result = TolariaTrainer(config, nursery=nursery, on_event=on_event).run()
    assert killed
    assert (result.status.value, result.steps) == ("finished", 200)
    report = report_of(config.output)
    assert "killed by SIGKILL" in report.decisions[0].reason


def test_a_run_that_is_resumed_in_a_race_calls_it_off_and_logs_that(make: Make) -> None:
    config = make(**SHORT, log_every=1)
    stop, racing = StopRequest(), []

    def on_event(record: LogEntry) -> None:
        racing.append(isinstance(record, RaceStarted))
        if any(racing) and isinstance(record, StepLogged):
            stop.ask()

    trainer = TolariaTrainer(config, nursery=LateNursery(10_000), stop=stop, on_event=on_event)
    assert trainer.run().status.value == "interrupted"
    TolariaTrainer.resuming(config.output, nursery=LateNursery(10_000)).run()
    lines = (config.output / "run.jsonl").read_text(encoding="utf-8").splitlines()
    ended = [r for line in lines if (r := json.loads(line)).get("kind") == "RaceDecided"]
    assert "not part of a checkpoint" in ended[0]["reason"]
    assert ended[0]["winner"] is None
    report = report_of(config.output)
    assert report.decisions[0].reason == ended[0]["reason"]
    assert len(report.races) == len(ended)


def test_a_worker_without_a_nursery_is_refused(make: Make) -> None:
    with pytest.raises(ConfigError, match=r"pass nursery=ProcessNursery\(\)"):
        TolariaTrainer(make(**SHORT))
    TolariaTrainer(make(**{**SHORT, "grow": False}))


def test_a_loss_that_cannot_be_handed_over_leaves_no_run_behind(make: Make) -> None:
    config = make(**{**SHORT, "data": "unit.services.tolaria.sample_factories:local_loss"})
    with (
        ProcessNursery() as nursery,
        pytest.raises(ConfigError, match=r"loss_fn cannot be handed to a worker process"),
    ):
        TolariaTrainer(config, nursery=nursery).run()
    assert not (config.output / "config.yaml").exists()
