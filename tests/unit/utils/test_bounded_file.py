from __future__ import annotations

import os
from pathlib import Path

import pytest

from esper.utils.bounded_file import open_regular, read_bounded


def test_a_file_within_its_bound_is_read_whole(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    assert read_bounded(tmp_path / "file", 5) == b"12345"


def test_a_file_that_is_too_long_is_refused_with_the_bound(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"123456")
    with pytest.raises(OSError, match="longer than the 5 bytes"):
        read_bounded(tmp_path / "file", 5)


def test_what_is_no_regular_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for name in (tmp_path / "pipe", Path("/dev/zero"), tmp_path):
        with pytest.raises(OSError, match="no regular file"):
            open_regular(name)
    with pytest.raises(OSError, match="symbolic links"):
        read_bounded(tmp_path / "loop", 5)
