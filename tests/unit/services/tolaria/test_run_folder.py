from __future__ import annotations

from pathlib import Path

import pytest

from esper.contracts.errors import RunFolderError
from esper.services.tolaria.run_folder import (
    RunFolder,
    next_free,
    resume_command,
    saved_config,
)
from esper.services.tolaria.training_config import config_from_mapping, write_yaml
from esper.utils.run_identity import read_identity


def test_new_folder_is_made_and_may_hold_other_things(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "notes.txt").touch()
    with RunFolder(tmp_path / "new", resume=False) as folder:
        assert folder / "x" == tmp_path / "new" / "x"
    with RunFolder(tmp_path / "deep" / "er", resume=False) as folder:
        assert folder.path.is_dir()


@pytest.mark.parametrize("name", ["config.yaml", "run.jsonl", "checkpoint.pt", "result.json"])
def test_folder_of_another_run_is_refused_with_the_remedy(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(RunFolderError) as error, RunFolder(tmp_path, resume=False):
        pass
    for part in (str(tmp_path), name, "--resume", "--output"):
        assert part in str(error.value)


def test_folder_without_a_run_cannot_be_resumed(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="holds no run"), RunFolder(tmp_path, resume=True):
        pass
    with pytest.raises(RunFolderError, match="holds no run"):
        saved_config(tmp_path)


def test_folder_that_another_process_works_in_is_refused(tmp_path: Path) -> None:
    with (
        RunFolder(tmp_path, resume=False),
        pytest.raises(RunFolderError, match="another process"),
        RunFolder(tmp_path, resume=False),
    ):
        pass
    with RunFolder(tmp_path, resume=False):
        pass


def test_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(RunFolderError, match="cannot be used"),
        RunFolder(tmp_path / "file", resume=False),
    ):
        pass


def test_what_was_made_for_a_run_that_did_not_begin_goes_again(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    for path in (tmp_path / "deep" / "er", tmp_path / "mine"):
        with pytest.raises(ZeroDivisionError), RunFolder(path, resume=False):
            raise ZeroDivisionError
    assert [entry.name for entry in tmp_path.rglob("*")] == ["mine"]
    with pytest.raises(RunFolderError), RunFolder(tmp_path / "nowhere", resume=True):
        pass
    assert not (tmp_path / "nowhere").exists()


def test_what_a_run_keeps_is_the_user_s_alone(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "runs" / "one", resume=False) as folder:
        folder.claim()
        (folder / "config.yaml").touch(mode=0o644)  # as earlier versions left it
    with RunFolder(tmp_path / "runs" / "one", resume=True):
        pass
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.rglob("*")}
    files = {".lock": 0o600, "config.yaml": 0o600, "identity.json": 0o600}
    assert modes == {"runs": 0o700, "one": 0o700, **files}


def test_moved_folder_is_resumed_where_it_is(tmp_path: Path) -> None:
    config = config_from_mapping({"data": "digits", "output": "/somewhere/else"})
    (tmp_path / "config.yaml").write_text(write_yaml(config), encoding="utf-8")
    assert saved_config(tmp_path).output == tmp_path


def test_settings_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("data: 3\nsteps: x\n", encoding="utf-8")
    with pytest.raises(RunFolderError, match=r"config\.yaml cannot be used"):
        saved_config(tmp_path)


def test_next_free_folder_counts_up(tmp_path: Path) -> None:
    assert next_free(tmp_path, "digits") == tmp_path / "digits-001"
    (tmp_path / "digits-001").mkdir()
    assert next_free(tmp_path, "digits") == tmp_path / "digits-002"


def test_resume_command_can_be_pasted_into_a_shell() -> None:
    assert resume_command(Path("runs/a")) == "esper train --resume runs/a"
    assert resume_command(Path("my runs/a")) == "esper train --resume 'my runs/a'"


def test_a_run_keeps_its_identity_and_counts_its_attempts(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, resume=False)
    first = folder.claim()
    second = folder.claim()
    assert (first.attempt, second.attempt) == (0, 1)
    assert first.run_id == second.run_id
    assert read_identity(tmp_path) == second


def test_runs_of_two_folders_have_different_identities(tmp_path: Path) -> None:
    ids = {RunFolder(tmp_path / name, resume=False).claim().run_id for name in ("a", "b")}
    assert len(ids) == 2
