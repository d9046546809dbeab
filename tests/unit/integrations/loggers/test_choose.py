from __future__ import annotations

import sys
from pathlib import Path

import pytest

from esper.contracts.errors import ConfigError, RegistryError
from esper.integrations.loggers.choose import LOGGERS, choose_logger
from esper.integrations.loggers.logger import Logger
from esper.integrations.loggers.tensorboard import TensorBoardLogger


@pytest.mark.parametrize("name", LOGGERS)
def test_every_name_makes_a_logger_that_has_written_nothing_yet(name: str, tmp_path: Path) -> None:
    logger = choose_logger(name, tmp_path)
    assert isinstance(logger, Logger)
    assert not list(tmp_path.iterdir())


def test_tensorboard_writes_into_the_run_unless_another_folder_is_named(tmp_path: Path) -> None:
    own = choose_logger("tensorboard", tmp_path)
    other = choose_logger("tensorboard:logs/a", tmp_path)
    assert isinstance(own, TensorBoardLogger)
    assert isinstance(other, TensorBoardLogger)
    assert own.folder == tmp_path / "tensorboard"
    assert other.folder == Path("logs/a")


def test_an_unknown_name_is_told_with_the_nearest() -> None:
    with pytest.raises(RegistryError, match="Did you mean 'tensorboard'"):
        choose_logger("tensorbord", Path())


@pytest.mark.parametrize("name", LOGGERS)
def test_a_package_that_is_not_installed_is_named_with_its_extra(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("torch.utils.tensorboard", "mlflow.tracking"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigError, match=rf"pip install 'esper-morphogenetic\[{name}\]'"):
        choose_logger(name, tmp_path)
