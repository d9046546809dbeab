"""A run that is killed, stopped or starved of disk goes on as if nothing had happened.

`ESPER_KILLS` says how many times the run is killed (4 unless it is set; the bar is 20).
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
import torch

from esper.contracts.growth import GrowthReport
from esper.core import checkpoint
from support.train_process import REFUSED, start

KILLS = int(os.environ.get("ESPER_KILLS", "4"))
STEPS = 500
# Long races for so short a run, so that it grows: a graft is what is hard to come back from.
GROWING = {
    "data": "mnist1d",
    "steps": STEPS,
    "log_every": 1,
    "checkpoint_every": 20,
    "growth": {
        "families": ["conv1d"],
        "race_compute": 4.0,
        "limits": {"max_compute": None},
        "rung": 0.12,
        "shadow_batch": 1.0,
        "min_gain": 0.0,
    },
}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that nobody disturbed."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    process = start({**GROWING, "output": str(folder)})
    process.join()
    assert process.exitcode == 0
    return folder


def records(folder: Path) -> list[dict[str, Any]]:
    """The log, a torn last line and what differs between processes left out."""
    content = (folder / "run.jsonl").read_bytes()
    found = [json.loads(line) for line in content[: content.rfind(b"\n") + 1].splitlines()]
    for record in found:
        for measured in record.get("signals", []):
            del measured["execution_latency"]
    return [r for r in found if r["type"] in {"step", "eval", "event"}]


def last_step(folder: Path) -> int:
    """Step of the last whole record of the log."""
    path = folder / "run.jsonl"
    if not path.exists():
        return 0
    whole = path.read_bytes()[-100_000:].rpartition(b"\n")[0]
    return int(json.loads(whole.rpartition(b"\n")[2])["step"]) if whole else 0


def wait_for_step(process: BaseProcess, folder: Path, step: int) -> None:
    while process.is_alive() and last_step(folder) < step:
        time.sleep(0.005)


def assert_same_run(first: Path, second: Path) -> None:
    states = [checkpoint.load(folder / "checkpoint.pt") for folder in (first, second)]
    assert states[0].manifest == states[1].manifest
    assert states[0].model.keys() == states[1].model.keys()
    for name, value in states[0].model.items():
        assert torch.equal(value, states[1].model[name]), name
    assert records(first) == records(second)
    assert (first / "report.json").read_bytes() == (second / "report.json").read_bytes()
    tests = [json.loads((f / "result.json").read_bytes())["test_metric"] for f in (first, second)]
    assert tests[0] == tests[1]


def test_undisturbed_run_grows(whole: Path) -> None:
    report = GrowthReport.model_validate_json((whole / "report.json").read_bytes())
    assert any(layer.grown for layer in report.after), report.summary


def test_run_killed_at_random_instants_ends_with_the_same_weights_bit_for_bit(
    whole: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    chance = random.Random(KILLS)
    # Some instants fall into the beginning, some past the last step, where results are written.
    instants = sorted(chance.uniform(0, 1.05 * STEPS) for _ in range(KILLS))
    kills = 0
    for instant in instants:
        begun = (folder / "config.yaml").exists()
        process = start(folder if begun else {**GROWING, "output": str(folder)})
        wait_for_step(process, folder, min(int(instant), STEPS))
        time.sleep(chance.uniform(0, 0.1))
        process.kill()
        process.join()
        kills += process.exitcode == -signal.SIGKILL
    process = start(folder if (folder / "config.yaml").exists() else GROWING)
    process.join()
    assert process.exitcode == 0
    assert kills >= KILLS / 2
    assert_same_run(whole, folder)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_run_that_is_asked_to_stop_saves_and_exits_with_the_documented_status(
    whole: Path, tmp_path: Path, signum: signal.Signals
) -> None:
    folder = tmp_path / "run"
    process = start({**GROWING, "output": str(folder)})
    wait_for_step(process, folder, 70)
    assert process.pid is not None
    os.kill(process.pid, signum)
    process.join()
    assert process.exitcode == 128 + signum
    state = checkpoint.load(folder / "checkpoint.pt")
    assert state.extra is not None
    assert state.extra["progress"]["step"] == last_step(folder) >= 70
    process = start(folder)
    process.join()
    assert process.exitcode == 0
    assert_same_run(whole, folder)


def test_folder_that_another_process_trains_in_is_refused(tmp_path: Path) -> None:
    folder, errors = tmp_path / "run", tmp_path / "errors.txt"
    first = start({**GROWING, "output": str(folder)})
    wait_for_step(first, folder, 5)
    second = start({**GROWING, "output": str(folder), "seed": 1}, errors)
    second.join()
    first.kill()
    first.join()
    assert second.exitcode == REFUSED
    assert "another process is at work" in errors.read_text(encoding="utf-8")
    third = start({**GROWING, "output": str(folder)}, errors)
    third.join()
    assert third.exitcode == REFUSED
    assert f"esper train --resume {folder}" in errors.read_text(encoding="utf-8")
