from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from esper.contracts.errors import RunFolderError
from esper.utils.run_identity import RunIdentity, read_identity


def test_an_empty_folder_holds_no_run(tmp_path: Path) -> None:
    assert read_identity(tmp_path) is None


def test_the_identity_is_what_its_file_says(tmp_path: Path) -> None:
    (tmp_path / "identity.json").write_text(json.dumps({"run_id": "a" * 32, "attempts": 3}))
    assert read_identity(tmp_path) == RunIdentity(run_id="a" * 32, attempt=3)


def test_a_folder_of_an_earlier_version_gets_its_identity_from_its_first_line(
    tmp_path: Path,
) -> None:
    log = tmp_path / "run.jsonl"
    log.write_text('{"type":"start","name":"one"}\n')
    first = read_identity(tmp_path)
    assert first is not None
    log.write_text('{"type":"start","name":"one"}\n{"type":"step"}\n')
    assert read_identity(tmp_path) == first
    log.write_text('{"type":"start","name":"two"}\n')
    assert read_identity(tmp_path) != first


def test_an_identity_that_a_library_was_told_stays(tmp_path: Path) -> None:
    (tmp_path / "run.jsonl").write_text('{"type":"start"}\n')
    (tmp_path / "run_id").write_text("b" * 32)
    assert read_identity(tmp_path) == RunIdentity(run_id="b" * 32)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ({"run_id": "../../../etc/passwd", "attempts": 0}, "run_id: .*pattern"),
        ({"run_id": "a" * 32, "attempts": -1}, "attempt: .*greater"),
        ({"run_id": "a" * 32}, "attempts"),
        ([1], "names no run"),
    ],
)
def test_an_identity_that_is_none_is_refused_with_file_and_field(
    tmp_path: Path, content: object, match: str
) -> None:
    (tmp_path / "identity.json").write_text(json.dumps(content))
    with pytest.raises(RunFolderError, match=rf"identity\.json names no run.*{match}|{match}"):
        read_identity(tmp_path)


@pytest.mark.parametrize("name", ["identity.json", "run_id", "run.jsonl"])
def test_a_pipe_in_a_run_folder_is_not_waited_for(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(RunFolderError, match="no regular file"):
        read_identity(tmp_path)
