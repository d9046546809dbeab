from __future__ import annotations

from typing import Any

import pytest

from esper.contracts.errors import ConfigError
from esper.services.tezzeret.forge_config import TezzeretConfig


@pytest.mark.parametrize(
    "setting",
    [
        {"workers": 0},
        {"threads": 0},
        {"max_attempts": 0},
        {"build_seconds": 0.0},
        {"lease_seconds": -1.0},
        {"drain_seconds": -1.0},
        {"niceness": 20},
        {"memory_bytes": 10},
        {"backoff_seconds": 5.0, "backoff_most_seconds": 1.0},
    ],
)
def test_a_value_out_of_range_is_refused_by_name(setting: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(reversed(setting))):
        TezzeretConfig(**setting)


def test_the_defaults_measure_eager_and_compiled() -> None:
    assert {target.compiled for target in TezzeretConfig().targets} == {True, False}
