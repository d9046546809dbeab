from __future__ import annotations

import os
from pathlib import Path

import pytest

from esper.utils.plain_file import open_plain, read_plain


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
