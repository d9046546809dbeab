from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from esper.cli.app import app
from esper.cli.train import (
    QUICK_STARTS,
    complete_quick_start,
    library_options,
    new_config,
    newest_run,
)
from esper.contracts.errors import ConfigError, RunFolderError
from esper.data.catalog import data_set_names
from esper.services.tolaria.training_config import TolariaConfig, write_yaml


def config(file: str | None = None, *overrides: str, **given: Any) -> TolariaConfig:
    return new_config(None if file is None else Path(file), given, None, overrides)


def refused(*words: str) -> str:
    result = CliRunner().invoke(app, ["train", *words])
    assert result.exit_code == 2, result.output
    return result.output.replace("\n", "")


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_names_in_the_help_are_those_of_the_catalog() -> None:
    assert data_set_names() == QUICK_STARTS


def test_completion_offers_the_names_that_begin_so() -> None:
    assert complete_quick_start("cifar") == ["cifar10", "cifar100"]
    assert complete_quick_start("x") == []


def test_a_quick_start_goes_into_the_first_free_folder() -> None:
    assert config(data="digits").output == Path("runs/digits-001")
    Path("runs/digits-001").mkdir(parents=True)
    assert config(data="digits").output == Path("runs/digits-002")


def test_options_win_over_the_file_and_set_wins_over_options() -> None:
    Path("a.yaml").write_text("data: digits\nseed: 1\nsteps: 10\nbatch_size: 7\n")
    read = config("a.yaml", "steps=30", "optimizer.lr=0.5", seed=2, steps=20)
    assert (read.batch_size, read.seed, read.steps, read.optimizer.lr) == (7, 2, 30, 0.5)


def test_a_library_is_named_by_an_option_or_where_one_is_wanted_by_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ESPER_HOME", str(tmp_path))
    monkeypatch.delenv("ESPER_URZA_URL", raising=False)
    with pytest.raises(ConfigError, match="--urza URL"):
        library_options(None, {"deposit": True}, None)
    monkeypatch.setenv("ESPER_URZA_URL", "http://127.0.0.1:1")
    assert library_options(None, {}, None) == {}
    wanted = library_options(None, {"enter": 2}, None)
    assert wanted == {"url": "http://127.0.0.1:1", "enter": 2}
    named = library_options("http://127.0.0.1:2", {"deposit": True}, None)
    library = new_config(None, {"data": "digits"}, named).library
    assert (library.url, library.enter, library.deposit) == ("http://127.0.0.1:2", 3, True)
    # A file may say itself where it is.
    assert library_options(None, {"enter": 2}, Path("a.yaml")) == {"enter": 2}


def test_a_file_may_take_values_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHICH", "digits")
    Path("a.yaml").write_text("data: ${WHICH}\n")
    assert config("a.yaml").data == "digits"


def test_a_missing_variable_names_itself() -> None:
    Path("a.yaml").write_text("data: ${NOT_SET_ANYWHERE}\n")
    with pytest.raises(ConfigError, match="NOT_SET_ANYWHERE"):
        config("a.yaml")


def test_nothing_to_train_says_what_to_give() -> None:
    assert "--quick-start NAME" in refused()


def test_two_names_for_the_data_are_refused() -> None:
    assert "one of them" in refused("-q", "digits", "--data", "mnist1d")


def test_a_misspelt_setting_names_the_nearest_one() -> None:
    assert "batch_size" in refused("-q", "digits", "--set", "batchsize=3")


def test_options_of_a_search_are_refused_where_nothing_is_searched() -> None:
    told = refused("-q", "digits", "--no-growth", "--nursery", "process", "--enter-kernels", "0")
    assert "--nursery, --enter-kernels: --no-growth searches nothing" in told


def test_what_is_refused_leaves_no_folder() -> None:
    refused("-q", "digits", "--set", "batchsize=3")
    assert list(Path().iterdir()) == []


def begun(folder: str, *, ended: bool, when: int) -> Path:
    path = Path(folder)
    path.mkdir(parents=True)
    settings = path / "config.yaml"
    settings.write_text(write_yaml(config(data="digits", output=str(path))))
    if ended:
        (path / "result.json").write_text("{}")
    os.utime(settings, (when, when))
    return path


def test_resume_without_a_folder_takes_the_newest_run_that_has_not_ended() -> None:
    begun("runs/a", ended=False, when=1_000)
    newest = begun("runs/b", ended=False, when=2_000)
    begun("runs/c", ended=True, when=3_000)
    assert newest_run(Path("runs")) == newest
    shown = CliRunner().invoke(app, ["train", "--resume", "newest", "--dry-run"])
    assert shown.exit_code == 0, shown.output
    assert str(newest) in shown.stdout


def test_resume_with_nothing_to_resume_says_so() -> None:
    begun("runs/c", ended=True, when=3_000)
    with pytest.raises(RunFolderError, match="1 have ended"):
        newest_run(Path("runs"))


def test_resume_refuses_settings_of_its_own_whatever_they_say() -> None:
    begun("runs/a", ended=False, when=1)
    told = refused("--resume", "runs/a", "--seed", "0", "--set", "steps=9", "--no-growth")
    assert "leave out --seed, --set, --no-growth" in told
