from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from esper.cli.app import app


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ESPER_HOME", str(tmp_path / "home"))
    return tmp_path / "platform.yaml"


def refused(*words: str) -> str:
    result = CliRunner().invoke(app, ["up", *words])
    assert result.exit_code == 2, result.output
    return result.output.replace("\n", " ")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("name: a\ncomponents:\n  urza: {config: {prot: 1}}\n", "prot"),
        ("name: a\ncomponents:\n  tezzeret: {config: {threads: 0}}\n", "threads"),
        ("nmae: a\n", "nmae"),
    ],
)
def test_a_wrong_file_is_refused_before_anything_starts(file: Path, text: str, told: str) -> None:
    file.write_text(text)
    assert told in refused("--config", str(file))
    assert list(file.parent.iterdir()) == [file]


def test_an_option_comes_before_the_file(file: Path) -> None:
    file.write_text("name: a\nredis: {host: localhost}\n")
    assert "the platform's bus is none of" in refused("--config", str(file), "--bus", "carrier")
    assert list(file.parent.iterdir()) == [file]


def test_a_file_that_is_not_there_is_named(file: Path) -> None:
    assert "platform.yaml" in refused("--config", str(file))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--bus", "in-process", "--bus-port", "0"), "--bus-port: --bus starts no server"),
        (("--workers", "0", "--tezzeret-port", "0"), "--tezzeret-port: --workers 0 runs no forge"),
    ],
)
@pytest.mark.usefixtures("file")
def test_a_port_of_what_is_not_started_is_refused(words: tuple[str, ...], told: str) -> None:
    assert told in refused(*words)
