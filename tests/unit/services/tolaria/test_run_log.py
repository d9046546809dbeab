from __future__ import annotations

import json
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from esper.contracts.errors import TrainingError
from esper.contracts.events import SeedCulled
from esper.contracts.records import CheckpointFailed, RunEnded, StepLogged
from esper.services.tolaria.run_log import RunLog


def records(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def failed(step: int, error: str = "full") -> CheckpointFailed:
    return CheckpointFailed(step=step, error=error)


@contextmanager
def files_end_at(size: int) -> Iterator[None]:
    """No file can grow beyond ``size`` bytes: a write behaves as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_records_are_on_disk_as_soon_as_they_are_written(tmp_path: Path) -> None:
    log = RunLog(tmp_path / "run.jsonl")
    cost = {"x": [float("inf"), 1]}
    log.write(RunEnded.model_construct(step=1, result={"loss": float("nan"), "deep": cost}))
    expected = {"type": "end", "step": 1, "result": {"loss": None, "deep": {"x": [None, 1]}}}
    assert records(log.path) == [expected]
    log.close()


def test_log_is_cut_back_to_the_length_of_the_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    log = RunLog(path)
    log.write(failed(1))
    length = log.length
    log.write(failed(2))
    log.close()
    again = RunLog(path, length=length)
    again.write(failed(3))
    again.close()
    assert [r["step"] for r in records(path)] == [1, 3]


def test_log_that_is_shorter_than_the_checkpoint_says_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    path.write_text('{"step": 1}\n', encoding="utf-8")
    with pytest.raises(TrainingError, match="changed since"):
        RunLog(path, length=100)
    assert path.read_text(encoding="utf-8") == '{"step": 1}\n'


def test_nothing_is_lost_or_torn_while_the_disk_is_full(tmp_path: Path) -> None:
    log = RunLog(tmp_path / "run.jsonl")
    with files_end_at(150):
        for step in range(10):
            log.write(failed(step))
        assert log.is_behind
        assert log.path.stat().st_size <= 150
        with pytest.raises(TrainingError, match="make room"):
            log.sync()
    log.write(failed(10))
    log.sync()
    assert not log.is_behind
    assert log.length == log.path.stat().st_size
    log.close()
    assert [r["step"] for r in records(log.path)] == list(range(11))


def test_log_in_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run.jsonl").mkdir()
    with pytest.raises(TrainingError, match=r"run\.jsonl cannot be written"):
        RunLog(tmp_path / "run.jsonl")


def test_what_is_no_regular_file_is_refused_as_a_log(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "run.jsonl")
    with pytest.raises(TrainingError, match=r"run\.jsonl cannot be written"):
        RunLog(tmp_path / "run.jsonl")


def test_text_is_kept_as_it_is(tmp_path: Path) -> None:
    log = RunLog(tmp_path / "run.jsonl")
    log.write(failed(1, "größer als α"))
    log.close()
    assert "größer als α" in log.path.read_bytes().decode()
    assert os.linesep.encode() in log.path.read_bytes()


def test_an_event_is_a_line_of_its_own_type_and_times_of_steps_stay_out(tmp_path: Path) -> None:
    log = RunLog(tmp_path / "run.jsonl")
    log.write(SeedCulled(step=3, layer_name="0", reason="it did not help"))
    log.write(StepLogged(step=4, train_loss=0.5, lr=0.1, step_seconds=2.0))
    log.close()
    event, step = records(log.path)
    assert (event["type"], event["kind"], event["step"]) == ("event", "SeedCulled", 3)
    assert step == {"type": "step", "step": 4, "train_loss": 0.5, "lr": 0.1, "alpha": {}}
