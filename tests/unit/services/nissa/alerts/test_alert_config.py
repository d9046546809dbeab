"""Thresholds of alerts."""

from __future__ import annotations

import pytest

from esper.contracts.errors import ConfigError
from esper.services.nissa.alerts.alert_config import AlertConfig


def test_thresholds_come_from_the_environment() -> None:
    config = AlertConfig.from_environment({"ESPER_ALERT_SPIKE_FACTOR": "3", "HOME": "/"})
    assert config == AlertConfig(spike_factor=3.0)


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("ESPER_ALERT_SPIKE_FACTR", "3", "spike_factor"),
        ("ESPER_ALERT_SPIKE_FACTOR", "much", "must be a number"),
        ("ESPER_ALERT_SPIKE_FACTOR", "0", "number above 0"),
    ],
)
def test_what_is_no_threshold_is_refused(variable: str, value: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        AlertConfig.from_environment({variable: value})
