from __future__ import annotations

from pathlib import Path

from esper.services.tolaria.identity import claim
from esper.services.tolaria.run_folder import RunFolder
from esper.utils.run_identity import read_identity


def test_a_run_keeps_its_identity_and_counts_its_attempts(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, resume=False)
    first = claim(folder)
    second = claim(folder)
    assert (first.attempt, second.attempt) == (0, 1)
    assert first.run_id == second.run_id
    assert read_identity(tmp_path) == second


def test_runs_of_two_folders_have_different_identities(tmp_path: Path) -> None:
    ids = {claim(RunFolder(tmp_path / name, resume=False)).run_id for name in ("a", "b")}
    assert len(ids) == 2
