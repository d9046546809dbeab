from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from esper.contracts.errors import ConfigError
from esper.orchestration.growth_config import GrowthConfig
from esper.services.tolaria.training_config import (
    TolariaConfig,
    config_from_mapping,
    config_to_mapping,
    with_overrides,
    write_yaml,
)
from esper.utils.yaml_file import read_yaml

LEAST = {"data": "digits", "output": "runs/x"}


def test_nested_settings_are_read_with_their_types() -> None:
    config = config_from_mapping(
        {
            **LEAST,
            "optimizer": {"name": "sgd", "lr": "1e-3"},
            "growth": {"max_grafts": 1},
            "target_layers": ["fc1"],
        }
    )
    assert config.output == Path("runs/x")
    assert config.optimizer.lr == pytest.approx(0.001)
    assert config.growth == GrowthConfig(max_grafts=1)
    assert config.target_layers == ("fc1",)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"optimiser": {}}, r"no setting optimiser\. Did you mean 'optimizer'"),
        ({"optimizer": {"learning": 1}}, r"no setting optimizer\.learning\..*Known: .*lr"),
        ({"growth": {"max_graft": 1}}, r"no setting growth\.max_graft\..*'max_grafts'"),
        ({"steps": "many"}, r"steps is 'many': input should be a valid integer"),
        ({"steps": 1.5}, r"steps is 1\.5"),
        ({"grow": "perhaps"}, r"grow is 'perhaps'"),
        ({"optimizer": {"name": "lion"}}, r"optimizer\.name is 'lion': .*'adamw'"),
        ({"growth": {"confidence": 2}}, r"growth\.confidence is 2"),
    ],
)
def test_wrong_setting_is_named_with_its_remedy(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config_from_mapping({**LEAST, **settings})


def test_missing_setting_is_named() -> None:
    with pytest.raises(ConfigError, match="output is missing"):
        config_from_mapping({"data": "digits"})


def test_config_survives_the_way_through_yaml(tmp_path: Path) -> None:
    config = config_from_mapping({**LEAST, "model_args": {"hidden": [3, 4]}, "clip_norm": 1.0})
    path = tmp_path / "config.yaml"
    path.write_text(write_yaml(config), encoding="utf-8")
    assert config_from_mapping(read_yaml(path)) == config


def test_yaml_names_every_setting() -> None:
    config = config_from_mapping(LEAST)
    assert list(yaml.safe_load(write_yaml(config))) == [f.name for f in fields(TolariaConfig)]


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("steps=10", ("steps",), 10),
        ("optimizer.lr=1e-3", ("optimizer", "lr"), "1e-3"),
        ("model_args.hidden=[16, 16]", ("model_args", "hidden"), [16, 16]),
        ("clip_norm=null", ("clip_norm",), None),
        ("grow=false", ("grow",), False),
        ("data_args.path=a=b.txt", ("data_args", "path"), "a=b.txt"),
    ],
)
def test_overrides_are_laid_over_the_settings(
    override: str, path: tuple[str, ...], value: object
) -> None:
    values = {**LEAST, "optimizer": {"name": "sgd"}}
    result: object = with_overrides(values, [override])
    for name in path:
        assert isinstance(result, dict)
        result = result[name]
    assert result == value
    assert values == {**LEAST, "optimizer": {"name": "sgd"}}


@pytest.mark.parametrize("override", ["steps", "=3", "a..b=1", "data.name=x", "steps=[1"])
def test_malformed_override_is_refused(override: str) -> None:
    with pytest.raises(ConfigError, match="--set"):
        with_overrides(LEAST, [override])


@given(st.dictionaries(st.text(max_size=8), st.none() | st.integers() | st.text(max_size=8)))
def test_any_mapping_is_a_config_or_a_config_error(values: dict[str, object]) -> None:
    try:
        config = config_from_mapping({**LEAST, **values})
    except ConfigError:
        return
    assert config_from_mapping(config_to_mapping(config)) == config
