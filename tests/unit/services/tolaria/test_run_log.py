from __future__ import annotations

import json
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from esper.contracts.errors import TrainingError
from esper.services.tolaria.run_log import RunLog


def records(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


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
    log.write({"type": "step", "step": 1, "loss": float("nan"), "deep": {"x": [float("inf"), 1]}})
    expected = {"type": "step", "step": 1, "loss": None, "deep": {"x": [None, 1]}}
    assert records(log.path) == [expected]
    log.close()


def test_log_is_cut_back_to_the_length_of_the_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    log = RunLog(path)
    log.write({"step": 1})
    length = log.length
    log.write({"step": 2})
    log.close()
    again = RunLog(path, length=length)
    again.write({"step": 3})
    again.close()
    assert records(path) == [{"step": 1}, {"step": 3}]


def test_log_that_is_shorter_than_the_checkpoint_says_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    path.write_text('{"step": 1}\n', encoding="utf-8")
    with pytest.raises(TrainingError, match="changed since"):
        RunLog(path, length=100)
    assert path.read_text(encoding="utf-8") == '{"step": 1}\n'


def test_nothing_is_lost_or_torn_while_the_disk_is_full(tmp_path: Path) -> None:
    log = RunLog(tmp_path / "run.jsonl")
    with files_end_at(50):
        for step in range(10):
            log.write({"type": "step", "step": step})
        assert log.is_behind
        assert log.path.stat().st_size <= 50
        with pytest.raises(TrainingError, match="make room"):
            log.sync()
    log.write({"type": "step", "step": 10})
    log.sync()
    assert not log.is_behind
    assert log.length == log.path.stat().st_size
    log.close()
    assert [r["step"] for r in records(log.path)] == list(range(11))


def test_log_in_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run.jsonl").mkdir()
    with pytest.raises(TrainingError, match=r"run\.jsonl cannot be written"):
        RunLog(tmp_path / "run.jsonl")


def test_text_is_kept_as_it_is(tmp_path: Path) -> None:
    log = RunLog(tmp_path / "run.jsonl")
    log.write({"reason": "größer als α"})
    log.close()
    assert "größer als α" in log.path.read_bytes().decode()
    assert os.linesep.encode() in log.path.read_bytes()
