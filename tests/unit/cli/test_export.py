from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from esper.cli.app import app
from esper.cli.export import run_folder_of
from esper.contracts.errors import RunFolderError


def test_a_checkpoint_stands_for_the_run_it_is_in(tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint.pt"
    checkpoint.touch()
    assert run_folder_of(checkpoint) == tmp_path
    assert run_folder_of(tmp_path) == tmp_path


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="neither a run folder"):
        run_folder_of(tmp_path / "model.bin")


@pytest.mark.parametrize(
    "words",
    [("-o", "model.onnx"), ("-o", "model"), ("--onnx", "model.pt")],
    ids=" ".join,
)
def test_a_name_that_says_another_format_is_refused(tmp_path: Path, words: tuple[str, str]) -> None:
    result = CliRunner().invoke(app, ["export", str(tmp_path), *words])
    assert result.exit_code == 2
    assert words[1] in result.output
