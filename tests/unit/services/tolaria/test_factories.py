from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from esper.contracts.errors import ConfigError
from esper.services.tolaria.factories import import_factory, load_data, make_model, model_name

Make = Callable[..., Any]
HERE = "unit.services.tolaria.sample_factories"


def test_data_and_model_come_from_functions_of_the_user(make: Make) -> None:
    config = make(
        data=f"{HERE}:line",
        data_args={"size": 100},
        model=f"{HERE}:perceptron",
        model_args={"width": 5},
    )
    bundle = load_data(config)
    assert len(bundle.train) == 100
    model = make_model(config, bundle)
    assert isinstance(model, nn.Sequential)
    assert model[0].weight.shape == (5, 4)
    assert model_name(config, bundle) == f"{HERE}:perceptron"


def test_default_host_takes_options(make: Make) -> None:
    config = make(model_args={"hidden": [7]})
    bundle = load_data(config)
    model = make_model(config, bundle)
    assert isinstance(model, nn.Sequential)
    assert model[0].weight.shape == (7, 30)
    assert model_name(config, bundle) == "breast-cancer-mlp"


def test_model_is_named_by_quick_start(make: Make) -> None:
    config = make(model="breast-cancer-mlp")
    assert sum(1 for _ in make_model(config, load_data(config)).parameters()) == 6


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("no.such.module:f", "there is no module 'no'"),
        (f"{HERE}:missing", "has no function 'missing'; it has: .*perceptron"),
        (f"{HERE}:NOT_A_FACTORY", "has no function 'NOT_A_FACTORY'"),
        (":f", "package.module:factory"),
    ],
)
def test_path_that_leads_nowhere_is_refused(path: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        import_factory(path)


def test_factory_of_something_else_is_refused(make: Make) -> None:
    with pytest.raises(ConfigError, match="returned a int; it must return an esper"):
        load_data(make(data=f"{HERE}:no_bundle"))
    config = make(model=f"{HERE}:no_bundle")
    with pytest.raises(ConfigError, match=r"returned a int; it must return an nn\.Module"):
        make_model(config, load_data(config))


def test_option_that_a_factory_does_not_take_is_refused(make: Make) -> None:
    config = make(model_args={"hiden": [3]})
    with pytest.raises(ConfigError, match=r"takes no option 'hiden'\. Did you mean 'hidden'"):
        make_model(config, load_data(config))


def test_modules_of_the_working_folder_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_own_models.py").write_text("def f():\n    return 1\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", ["elsewhere"])
    assert import_factory("my_own_models:f")() == 1
