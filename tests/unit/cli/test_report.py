from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from esper.cli.app import app
from samples.run_folders import grown_report, write_run


def test_a_report_is_written_again_and_named(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", grown_report())
    result = CliRunner().invoke(app, ["report", str(folder)])
    assert result.exit_code == 0
    assert "conv1d_stack/m" in result.output
    assert (folder / "report.html").exists()


def test_a_folder_that_is_no_run_has_the_status_of_a_bad_file(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["report", str(tmp_path)])
    assert result.exit_code == 4
    assert "not a run folder" in result.output


def test_a_library_is_no_option_where_nothing_is_sent(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", grown_report())
    result = CliRunner().invoke(app, ["report", str(folder), "--urza", "http://127.0.0.1:1"])
    assert result.exit_code == 2
    assert "--send" in result.output
