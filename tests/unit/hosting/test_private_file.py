from __future__ import annotations

import stat
from pathlib import Path

import pytest

from esper.contracts.errors import PlatformError
from esper.hosting.private_file import write_private


def test_only_its_owner_may_read_what_is_written_whatever_stood_there(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "secret"
    write_private(path, "first")
    path.chmod(0o644)
    write_private(path, "second")
    assert path.read_text() == "second"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["secret"]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PlatformError, match=r"file.*--folder"):
        write_private(tmp_path / "file" / "secret", "text")
