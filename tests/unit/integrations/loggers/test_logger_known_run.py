from __future__ import annotations

from pathlib import Path

from esper.integrations.loggers.logger import KnownRun
from support import logged_runs


def test_a_run_that_has_begun_is_known_by_folder_and_identity(tmp_path: Path) -> None:
    folder = logged_runs.begun(tmp_path / "first", "abc")
    assert KnownRun.of(folder) == KnownRun(name="first", run_id="abc")


def test_a_run_that_has_not_begun_has_a_name_only(tmp_path: Path) -> None:
    assert KnownRun.of(tmp_path / "later") == KnownRun(name="later")


def test_a_loop_of_ones_own_has_neither() -> None:
    assert KnownRun.of(None) == KnownRun()
