"""Growth settings are checked where they are built."""

from __future__ import annotations

from typing import Any

import pytest

from esper.contracts.errors import ConfigError
from esper.orchestration.growth_config import GrowthConfig, GrowthLimits


@pytest.mark.parametrize(
    ("setting", "value", "expected"),
    [
        ("first_check", 1.5, "a share in"),
        ("keep", 0.0, r"\(0, 1\]"),
        ("rungs", 0, "1 or more"),
        ("max_grafts", -1, "0 or more"),
        ("max_entrants", 1, "one and its control"),
        ("confidence", 1.0, r"\(0, 1\)"),
        ("spike", 1.0, "above 1"),
    ],
)
def test_a_bad_setting_names_itself_its_value_and_what_is_expected(
    setting: str, value: Any, expected: str
) -> None:
    with pytest.raises(ConfigError, match=rf"growth\.{setting} is {value!r}.*{expected}"):
        GrowthConfig(**{setting: value})


def test_a_limit_of_zero_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"limits\.max_parameters is 0.*None for no limit"):
        GrowthLimits(max_parameters=0)
