from __future__ import annotations

import json
from pathlib import Path

import pytest

from esper.contracts.errors import RunFolderError
from esper.report.run_folder import read_run
from samples.run_folders import grown_report, static_report, write_run


def test_reading_gives_back_what_the_run_wrote(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path, grown_report()))
    assert run.growth == grown_report()
    assert run.result["test_metric"] == 0.913
    assert len(run.steps) == len(grown_report().curve) - 1
    assert run.events[0]["kind"] == "RaceStarted"


def test_a_log_that_was_cut_in_its_last_line_is_read_up_to_there(tmp_path: Path) -> None:
    folder = write_run(tmp_path, grown_report())
    log = folder / "run.jsonl"
    whole = len(read_run(folder).events)
    log.write_text(log.read_text()[:-20])
    assert len(read_run(folder).events) == whole - 1


def test_a_damaged_line_in_the_middle_names_itself(tmp_path: Path) -> None:
    folder = write_run(tmp_path, grown_report())
    log = folder / "run.jsonl"
    log.write_text("{broken\n" + log.read_text())
    with pytest.raises(RunFolderError, match="line 1 is not JSON"):
        read_run(folder)


def test_a_folder_without_a_record_says_how_to_finish_the_run(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="--resume"):
        read_run(tmp_path)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="nowhere is not a folder"):
        read_run(tmp_path / "nowhere")


def test_a_run_that_was_not_to_grow_has_its_curve_from_the_log(tmp_path: Path) -> None:
    folder = write_run(tmp_path, static_report())
    (folder / "report.json").unlink()
    record = {"type": "eval", "step": 9, "train_loss": 1.5, "growth_loss": 2.0}
    with (folder / "run.jsonl").open("a") as log:
        log.write(json.dumps({**record, "growth_metric": 0.5}) + "\n")
    growth = read_run(folder).growth
    assert [point.growth_metric for point in growth.curve] == [0.5]
    assert growth.races == ()


def test_a_record_with_an_unknown_field_names_the_place(tmp_path: Path) -> None:
    folder = write_run(tmp_path, grown_report())
    path = folder / "report.json"
    path.write_text(path.read_text().replace('"steps"', '"stepz"', 1))
    with pytest.raises(RunFolderError, match="steps"):
        read_run(folder)


def test_a_run_without_a_result_still_has_its_record(tmp_path: Path) -> None:
    folder = write_run(tmp_path, grown_report())
    (folder / "result.json").unlink()
    run = read_run(folder)
    assert run.result == {}
    assert run.name == "mnist1d mlp"
