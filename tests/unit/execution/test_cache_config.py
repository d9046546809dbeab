from __future__ import annotations

from pathlib import Path

import pytest

from esper.contracts.errors import ConfigError
from esper.execution.cache_config import KernelCacheConfig, RedisTierConfig


@pytest.mark.parametrize(
    "name", ["timeout_seconds", "answer_seconds", "lifetime_seconds", "max_bytes"]
)
def test_a_redis_setting_of_nothing_is_refused_by_name(name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        RedisTierConfig(**{name: 0})


def test_signatures_cannot_be_required_of_nobody() -> None:
    with pytest.raises(ConfigError, match="trusted_keys is empty"):
        KernelCacheConfig(require_signatures=True)
    assert KernelCacheConfig(require_signatures=True, trusted_keys=(Path("key.pub"),))
