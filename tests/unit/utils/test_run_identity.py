from __future__ import annotations

import json
from pathlib import Path

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
