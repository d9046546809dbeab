from __future__ import annotations

import os
from pathlib import Path

import pytest

from esper.contracts.base import Contract, Name
from esper.contracts.errors import RunFolderError
from esper.utils.plain_file import open_plain, read_plain, read_record


class Told(Contract):
    """What a file says."""

    name: Name
    status: Name


def test_a_file_is_read_whole(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    assert read_plain(tmp_path / "file", 5) == b"12345"
    with pytest.raises(OSError, match="more than 4 bytes"):
        read_plain(tmp_path / "file", 4)


def test_a_pipe_is_refused_without_waiting_for_a_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="no regular file"):
        open_plain(tmp_path / "pipe")


@pytest.mark.parametrize("name", ["/dev/zero", "."])
def test_a_device_and_a_folder_are_refused(name: str) -> None:
    with pytest.raises(OSError, match="no regular file"):
        read_plain(Path(name), 10)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b'{"status": "finished", "status": "finished"}', "'status' twice"),
        (b'{"status": "finished"}', "is damaged: name: Field required"),
        (b"[" * 100, "nested 100 deep"),
        (b" " * (2**20 + 1), "more than 1,048,576 bytes"),
        (b"{", "is not valid UTF-8 JSON"),
    ],
)
def test_a_damaged_result_is_named_with_what_is_wrong(
    tmp_path: Path, content: bytes, problem: str
) -> None:
    (tmp_path / "result.json").write_bytes(content)
    with pytest.raises(RunFolderError, match=r"result\.json") as caught:
        read_record(tmp_path / "result.json", Told)
    assert problem in str(caught.value)


def test_a_pipe_in_the_place_of_a_result_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "result.json")
    with pytest.raises(RunFolderError, match="no regular file"):
        read_record(tmp_path / "result.json", Told)


def test_a_record_is_read_as_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text('{"name": "a", "status": "finished"}')
    assert read_record(path, Told) == Told(name="a", status="finished")
    assert read_record(path, dict[str, str]) == {"name": "a", "status": "finished"}
