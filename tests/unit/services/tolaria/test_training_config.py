from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from esper.contracts.errors import ConfigError

Make = Callable[..., Any]


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"accumulation": 0}, "accumulation"),
        ({"steps": 0}, "steps"),
        ({"batch_size": -1}, "batch_size"),
        ({"clip_norm": 0.0}, "clip_norm"),
        ({"growth_fraction": 0.6}, "growth_fraction"),
        ({"seed": -1}, "seed"),
        ({"optimizer": {"lr": -0.1}}, "optimizer.lr"),
        ({"optimizer": {"betas": [0.9, 1.0]}}, "optimizer.betas"),
        ({"optimizer": {"momentum": 1.0}}, "optimizer.momentum"),
        ({"schedule": {"final": 2.0}}, "schedule.final"),
        ({"schedule": {"every": 0.0}}, "schedule.every"),
        ({"early_stop": {"patience": -1}}, "early_stop.patience"),
    ],
)
def test_value_out_of_range_is_refused_by_name(
    make: Make, settings: dict[str, Any], name: str
) -> None:
    with pytest.raises(ConfigError, match=rf"^{name} is .*; expected"):
        make(**settings)


def test_settings_cannot_be_changed(make: Make) -> None:
    config = make()
    with pytest.raises(AttributeError):
        config.seed = 3
