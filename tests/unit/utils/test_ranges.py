from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pytest

from esper.configs import EsperConfig
from esper.contracts.errors import ConfigError
from esper.execution.cache_config import KernelCacheConfig, RedisTierConfig
from esper.execution.error_recovery import RetryConfig
from esper.execution.error_tracker import TrackerConfig
from esper.execution.health_monitor import HealthThresholds
from esper.hosting.hosting_config import HostingConfig
from esper.orchestration.growth_config import GrowthConfig, GrowthLimits
from esper.services.nissa.alerts.alert_config import AlertConfig
from esper.services.nissa.nissa_config import NissaConfig
from esper.services.oona.bus_config import OonaConfig
from esper.services.tezzeret.forge_config import TezzeretConfig
from esper.services.tolaria.training_config import (
    EarlyStopConfig,
    LibraryConfig,
    OptimizerConfig,
    ScheduleConfig,
    TolariaConfig,
)
from esper.services.urza.client.client_config import ClientConfig
from esper.services.urza.urza_config import UrzaConfig
from esper.utils.ranges import AT_LEAST_0, BELOW_1, POSITIVE, WHOLE, check_numbers

CONFIGS: dict[type, dict[str, Any]] = {
    AlertConfig: {},
    ClientConfig: {"url": "http://127.0.0.1:8420"},
    EarlyStopConfig: {},
    GrowthConfig: {},
    GrowthLimits: {},
    HealthThresholds: {},
    HostingConfig: {"folder": "x"},
    KernelCacheConfig: {},
    LibraryConfig: {},
    NissaConfig: {},
    OonaConfig: {},
    OptimizerConfig: {},
    RedisTierConfig: {},
    RetryConfig: {},
    ScheduleConfig: {},
    TezzeretConfig: {},
    TolariaConfig: {"data": "digits", "output": "x"},
    TrackerConfig: {},
    UrzaConfig: {"database_url": "sqlite:////x.db", "blobs": "file:///x"},
}
"""Every configuration with numbers, and what it cannot do without."""


def numbers(kind: type) -> list[str]:
    hints = kind.__annotations__
    return [name for name, hint in hints.items() if hint.split(" |")[0] in {"int", "float"}]


@pytest.mark.parametrize(
    ("kind", "name"),
    [(kind, name) for kind in CONFIGS for name in numbers(kind)],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_no_setting_takes_what_is_no_finite_number(kind: type, name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=rf"{name} is {value}; expected"):
        kind(**CONFIGS[kind], **{name: value})


def test_the_platform_s_file_takes_finite_numbers_only() -> None:
    assert EsperConfig.model_config["allow_inf_nan"] is False


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        (OptimizerConfig, "lr", -1e-3),
        (OptimizerConfig, "weight_decay", -0.1),
        (OptimizerConfig, "betas", (0.9, 1.0)),
        (OptimizerConfig, "betas", (0.9, math.nan)),
        (TolariaConfig, "steps", 0),
        (TolariaConfig, "steps", 10**18),
        (TolariaConfig, "batch_size", -1),
        (TolariaConfig, "clip_norm", 0.0),
        (TolariaConfig, "growth_fraction", 0.6),
        (TolariaConfig, "seed", 2**63),
        (GrowthConfig, "growth_samples", 0),
        (GrowthConfig, "extensions", -1),
        (GrowthConfig, "kernel_lr", 0.0),
        (OonaConfig, "keep_seconds", 1e12),
        (HostingConfig, "urza_port", 65_536),
    ],
)
def test_a_number_out_of_its_range_is_named_with_what_is_expected(
    kind: type, name: str, value: object
) -> None:
    with pytest.raises(ConfigError, match=rf"{name} is .*; expected "):
        kind(**CONFIGS[kind], **{name: value})


@dataclass(frozen=True, kw_only=True)
class Sample:
    rate: float = 0.5
    pair: tuple[float, ...] = (0.1,)
    count: int | None = None
    switch: bool = True
    name: str = "x"

    def __post_init__(self) -> None:
        check_numbers(self, "sample.", rate=POSITIVE, pair=BELOW_1, count=WHOLE)


def test_numbers_within_their_ranges_pass_and_other_values_are_left_alone() -> None:
    assert Sample(rate=1e300, pair=(0.0, 0.99), count=1).count == 1
    assert AT_LEAST_0.holds(0)
    assert not POSITIVE.holds(0)


def test_one_number_of_several_is_enough_to_refuse_them() -> None:
    with pytest.raises(ConfigError, match=r"sample\.pair is \(0\.5, 1\.0\); expected a number in"):
        Sample(pair=(0.5, 1.0))
