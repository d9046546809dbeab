from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from esper.cli.app import app
from esper.execution.artifact import read_kernel_file
from esper.execution.kernel_store import LocalKernelStore

PLACE = ["--host", "linear", "--input", "40", "--output-shape", "100"]


def status_and_text(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["kernel", "build", *arguments])
    return result.exit_code, result.output


def test_a_kernel_of_a_family_is_written_and_named_by_its_digest(tmp_path: Path) -> None:
    path = tmp_path / "k.safetensors"
    status, text = status_and_text("--family", "low-rank", *PLACE, "-o", str(path))
    assert status == 0
    artifact = read_kernel_file(path)
    assert artifact.kernel_id in text
    assert artifact.metadata.output_shape == (100,)


def test_the_same_seed_gives_the_same_file_and_another_seed_another(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a", "b", "c")]
    for path, seed in zip(paths, ("1", "1", "2"), strict=True):
        status_and_text("--family", "low-rank", *PLACE, "--seed", seed, "-o", str(path))
    first, again, other = (path.read_bytes() for path in paths)
    assert first == again
    assert first != other


def test_graph_ir_from_show_builds_the_same_kernel_as_the_family(tmp_path: Path) -> None:
    show = ["blueprints", "show", "low-rank", "--size", "small", "--mode", "replacing", "--json"]
    shown = CliRunner().invoke(app, [*show, *PLACE])
    ir = tmp_path / "mine.json"
    ir.write_text(json.dumps(json.loads(shown.output)))
    path = tmp_path / "k"
    status, _ = status_and_text("--ir", str(ir), "-o", str(path))
    assert status == 0
    assert read_kernel_file(path).metadata.blueprint == "mine"


def test_without_an_output_the_kernel_goes_into_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ESPER_HOME", str(tmp_path))
    assert status_and_text("--family", "low-rank", *PLACE)[0] == 0
    assert len(LocalKernelStore().list()) == 1


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ([], "either --family"),
        (["--family", "low-rank"], "needs a place"),
        (["--family", "low-rnak", *PLACE], "low-rank"),
        (["--family", "low-rank", "--size", "huge", *PLACE], "no size"),
        (["--family", "low-rank", "--mode", "rep", *PLACE], "replacing"),
        (["--ir", "nowhere.json"], "cannot be read"),
        (["--ir", "/dev/zero"], "has more than 16,777,216 bytes"),
    ],
)
def test_what_cannot_be_built_is_a_usage_error(arguments: list[str], part: str) -> None:
    status, text = status_and_text(*arguments)
    assert status == 2
    assert part in text
