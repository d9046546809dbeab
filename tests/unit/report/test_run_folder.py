from __future__ import annotations

import os
from pathlib import Path

import pytest

from esper.contracts.base import LONGEST_LINE
from esper.contracts.errors import RunFolderError
from esper.contracts.events import RaceStarted
from esper.report.run_folder import read_run
from samples.run_folders import grown_report, static_report, write_run


def test_reading_gives_back_what_the_run_wrote(tmp_path: Path) -> None:
    recorded = read_run(write_run(tmp_path, grown_report()))
    run, report = recorded.account, grown_report()
    assert run.growth == report.model_copy(update={"curve": report.curve[1:]})
    assert run.test_metric == 0.913
    assert len(recorded.curves["train_loss"].steps) == len(report.curve) - 1
    assert isinstance(run.events[0], RaceStarted)


def test_a_log_that_was_cut_in_its_last_line_is_read_up_to_there(tmp_path: Path) -> None:
    folder = write_run(tmp_path, grown_report())
    log = folder / "run.jsonl"
    whole = len(read_run(folder).account.events)
    log.write_text(log.read_text()[:-20])
    assert len(read_run(folder).account.events) == whole - 1


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
    folder = write_run(tmp_path, static_report(), with_events=False)
    (folder / "report.json").unlink()
    growth = read_run(folder).account.growth
    assert growth.curve == static_report().curve[1:]
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
    run = read_run(folder).account
    assert run.result == {}
    assert run.name == "mnist1d mlp"


def test_a_record_without_its_log_still_has_its_curves(tmp_path: Path) -> None:
    folder = write_run(tmp_path, grown_report())
    (folder / "run.jsonl").unlink()
    recorded = read_run(folder)
    assert recorded.account.growth == grown_report()
    assert len(recorded.curves["growth_metric"].steps) == len(grown_report().curve)


@pytest.mark.parametrize("name", ["run.jsonl", "report.json", "result.json"])
def test_a_pipe_in_a_files_place_is_refused_and_not_waited_for(tmp_path: Path, name: str) -> None:
    folder = write_run(tmp_path, grown_report())
    if name != "run.jsonl":
        (folder / "run.jsonl").unlink()
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(RunFolderError, match=f"{name} cannot be read: is no regular file"):
        read_run(folder)


@pytest.mark.parametrize("name", ["report.json", "result.json"])
def test_a_file_that_is_larger_than_any_run_needs_is_refused(tmp_path: Path, name: str) -> None:
    folder = write_run(tmp_path, grown_report())
    (folder / "run.jsonl").unlink()
    os.truncate(folder / name, (1 << 28) + 1)  # a hole: it takes no room
    with pytest.raises(RunFolderError, match=f"{name} cannot be read: has more than"):
        read_run(folder)


def test_a_line_without_an_end_is_refused(tmp_path: Path) -> None:
    folder = write_run(tmp_path, grown_report())
    os.truncate(folder / "run.jsonl", (folder / "run.jsonl").stat().st_size + LONGEST_LINE + 1)
    with pytest.raises(RunFolderError, match=f"has more than {LONGEST_LINE} bytes"):
        read_run(folder)
