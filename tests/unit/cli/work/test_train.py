from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from esper.cli.requests import TrainRequest
from esper.cli.work.train import new_config, newest_run, resumed_config
from esper.contracts.errors import ConfigError, RunFolderError
from esper.services.tolaria.config_file import write_yaml


def asked(**given: Any) -> TrainRequest:
    nothing: dict[str, Any] = {
        "quick_start": None,
        "config": None,
        "data": None,
        "model": None,
        "output": None,
        "resume": None,
        "seed": None,
        "steps": None,
        "overrides": (),
        "grow": True,
        "urza": None,
        "enter_kernels": None,
        "deposit": False,
        "nursery": None,
        "loggers": (),
        "dry_run": False,
        "verbose": False,
    }
    return TrainRequest(**(nothing | given))


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_quick_start_goes_into_the_first_free_folder() -> None:
    assert new_config(asked(quick_start="digits")).output == Path("runs/digits-001")
    Path("runs/digits-001").mkdir(parents=True)
    assert new_config(asked(quick_start="digits")).output == Path("runs/digits-002")


def test_options_win_over_the_file_and_set_wins_over_options() -> None:
    Path("a.yaml").write_text("data: digits\nseed: 1\nsteps: 10\nbatch_size: 7\n")
    config = new_config(
        asked(config=Path("a.yaml"), seed=2, steps=20, overrides=("steps=30", "optimizer.lr=0.5"))
    )
    assert (config.batch_size, config.seed, config.steps, config.optimizer.lr) == (7, 2, 30, 0.5)


def test_a_library_is_named_by_an_option_or_where_one_is_wanted_by_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("ESPER_URZA_URL", raising=False)
    with pytest.raises(ConfigError, match="--urza URL"):
        new_config(asked(data="digits", deposit=True))
    monkeypatch.setenv("ESPER_URZA_URL", "http://127.0.0.1:1")
    assert new_config(asked(data="digits")).library.url is None
    wanted = new_config(asked(data="digits", enter_kernels=2)).library
    assert (wanted.url, wanted.enter, wanted.deposit) == ("http://127.0.0.1:1", 2, False)
    named = new_config(asked(data="digits", urza="http://127.0.0.1:2", deposit=True)).library
    assert (named.url, named.enter, named.deposit) == ("http://127.0.0.1:2", 3, True)


def test_a_file_may_take_values_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHICH", "digits")
    Path("a.yaml").write_text("data: ${WHICH}\n")
    assert new_config(asked(config=Path("a.yaml"))).data == "digits"


def test_a_missing_variable_names_itself() -> None:
    Path("a.yaml").write_text("data: ${NOT_SET_ANYWHERE}\n")
    with pytest.raises(ConfigError, match="NOT_SET_ANYWHERE"):
        new_config(asked(config=Path("a.yaml")))


def test_nothing_to_train_says_what_to_give() -> None:
    with pytest.raises(ConfigError, match="--quick-start NAME"):
        new_config(asked())


def test_two_names_for_the_data_are_refused() -> None:
    with pytest.raises(ConfigError, match="one of them"):
        new_config(asked(quick_start="digits", data="mnist1d"))


def test_a_misspelt_setting_names_the_nearest_one() -> None:
    with pytest.raises(ConfigError, match="batch_size"):
        new_config(asked(quick_start="digits", overrides=("batchsize=3",)))


def test_no_growth_trains_the_static_host() -> None:
    assert new_config(asked(quick_start="digits", grow=False)).grow is False


def begun(folder: str, *, ended: bool, when: int) -> Path:
    path = Path(folder)
    path.mkdir(parents=True)
    config = path / "config.yaml"
    config.write_text(write_yaml(new_config(asked(quick_start="digits", output=path))))
    if ended:
        (path / "result.json").write_text("{}")
    os.utime(config, (when, when))
    return path


def test_resume_without_a_folder_takes_the_newest_run_that_has_not_ended() -> None:
    begun("runs/a", ended=False, when=1_000)
    newest = begun("runs/b", ended=False, when=2_000)
    begun("runs/c", ended=True, when=3_000)
    assert newest_run(Path("runs")) == newest
    assert resumed_config(asked(resume="newest")).output == newest


def test_resume_with_nothing_to_resume_says_so() -> None:
    begun("runs/c", ended=True, when=3_000)
    with pytest.raises(RunFolderError, match="1 have ended"):
        newest_run(Path("runs"))


def test_resume_refuses_settings_of_its_own() -> None:
    begun("runs/a", ended=False, when=1)
    with pytest.raises(ConfigError, match="leave out --seed, --set"):
        resumed_config(asked(resume="runs/a", seed=3, overrides=("steps=9",)))
