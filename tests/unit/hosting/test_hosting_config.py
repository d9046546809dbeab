from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from esper.contracts.errors import ConfigError
from esper.hosting.hosting_config import HostingConfig


@pytest.mark.parametrize(
    "setting",
    [
        {"urza_port": 70000},
        {"workers": -1},
        {"look_seconds": 0.0},
        {"drain_seconds": -1.0},
        {"backoff_most_seconds": 0.1},
        {"log_bytes": 1},
    ],
)
def test_a_setting_out_of_range_is_named(setting: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(setting))):
        HostingConfig(folder=Path("data"), **setting)


def test_a_bus_that_is_none_is_refused_without_showing_its_password() -> None:
    with pytest.raises(ConfigError, match="bus") as refusal:
        HostingConfig(folder=Path("data"), bus="http://:secret@host")
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize("bus", ["auto", "in-process", "valkey", "redis://a", "valkey://:b@c"])
def test_every_kind_of_bus_is_taken(bus: str) -> None:
    assert HostingConfig(folder=Path("data"), bus=bus).bus == bus
