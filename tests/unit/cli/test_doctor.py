from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from esper.cli.app import app
from esper.cli.doctor import data_sets
from esper.data.catalog import data_set_names
from esper.data.source import data_source


def test_doctor_says_what_is_installed_and_what_would_be_used() -> None:
    result = CliRunner().invoke(app, ["doctor", "--json"])
    assert result.exit_code == 0
    found = json.loads(result.output)
    assert found["machine"]["torch"] == torch.__version__
    assert set(found["data"]) == set(data_set_names())
    assert found["machine"]["device that a run would use"] in {"cpu", "cuda"}


def test_data_that_is_not_here_is_not_claimed_and_its_origin_is_named(tmp_path: Path) -> None:
    source = data_source(environment={"ESPER_HOME": str(tmp_path), "XDG_DATA_DIRS": str(tmp_path)})
    found = data_sets(source)
    for name in ("fashion-mnist", "cifar10", "cifar100"):
        assert found[name].startswith("not here: would be fetched from http")
        assert str(tmp_path) in found[name]


def test_doctor_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("ESPER_HOME", str(home))
    assert CliRunner().invoke(app, ["doctor"]).exit_code == 0
    assert not home.exists()
