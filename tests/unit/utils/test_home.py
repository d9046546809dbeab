from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from esper.utils.home import data_home, keep_private, private_folder


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    """That of most machines; it is put back."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_the_environment_s_folder_comes_first() -> None:
    assert data_home({"ESPER_HOME": "/data/esper"}) == Path("/data/esper")
    assert data_home({"ESPER_HOME": "~/esper"}) == Path.home() / "esper"


def test_without_it_it_is_the_user_s_data_folder() -> None:
    assert data_home({}).is_absolute()
    assert data_home({"ESPER_HOME": ""}) == data_home({})


def test_a_folder_is_made_for_the_user_alone_and_what_was_there_stays_as_it_was(
    tmp_path: Path,
) -> None:
    (tmp_path / "there").mkdir()
    made = private_folder(tmp_path / "there" / "a" / "b")
    assert made == [tmp_path / "there" / "a", tmp_path / "there" / "a" / "b"]
    assert [mode(path) for path in made] == [0o700, 0o700]
    assert mode(tmp_path / "there") == 0o755
    assert private_folder(tmp_path / "there") == []
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError):
        private_folder(tmp_path / "file")


def test_what_is_made_from_now_on_is_the_user_s_alone(tmp_path: Path) -> None:
    keep_private({"ESPER_HOME": str(tmp_path / "absent")})
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    assert (mode(tmp_path / "file"), mode(tmp_path / "folder")) == (0o600, 0o700)


def test_a_home_that_an_earlier_version_left_open_is_shut(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "urza").mkdir(parents=True)
    (home / "runs.db").touch()
    keep_private({"ESPER_HOME": str(home)})
    modes = [mode(home), mode(home / "urza"), mode(home / "runs.db")]
    assert modes == [0o700, 0o700, 0o600]


def test_a_home_that_holds_other_things_too_is_shut_as_far_as_it_is_esper_s(tmp_path: Path) -> None:
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    (home / "letters").mkdir(parents=True)
    (home / "runs.db").touch()
    elsewhere.mkdir()
    (home / "data").symlink_to(elsewhere)
    keep_private({"ESPER_HOME": str(home)})
    modes = [mode(home), mode(home / "letters"), mode(elsewhere), mode(home / "runs.db")]
    assert modes == [0o755, 0o755, 0o755, 0o600]
