from __future__ import annotations

import stat
from pathlib import Path

import pytest

from esper.contracts.errors import CheckpointError
from esper.core.durable_file import write_durably


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_the_new_content_takes_the_place_of_the_old_and_nothing_else_is_left(
    tmp_path: Path,
) -> None:
    path = tmp_path / "deep" / "file"
    write_durably(path, b"old")
    write_durably(path, memoryview(b"newer"))
    assert path.read_bytes() == b"newer"
    assert names(path.parent) == ["file"]


def test_file_and_new_folder_are_the_users_alone(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"
    write_durably(path, b"")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_what_a_killed_process_left_is_written_over(tmp_path: Path) -> None:
    (tmp_path / ".file.tmp").write_bytes(b"half a fi")
    write_durably(tmp_path / "file", b"whole")
    assert (tmp_path / "file").read_bytes() == b"whole"
    assert names(tmp_path) == ["file"]


def test_a_failure_says_where_and_leaves_no_part_of_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    (path / "in the way").mkdir(parents=True)
    with pytest.raises(CheckpointError, match=r"file' could not be written.*choose another folder"):
        write_durably(path, b"new")
    assert names(tmp_path) == ["file"]
    assert names(path) == ["in the way"]
