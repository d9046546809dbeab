"""What needs no server; `tests/contract/test_kernel_tier.py` has the rest."""

from __future__ import annotations

import pytest

from esper.contracts.errors import ConfigError
from esper.contracts.ports import KernelTier
from esper.execution.redis_tier import RedisTier


def test_the_tier_fills_its_port_and_contacts_nobody_when_it_is_made() -> None:
    with RedisTier("redis://127.0.0.1:1/0") as tier:
        assert isinstance(tier, KernelTier)
        assert tier.errors == 0


@pytest.mark.parametrize("url", ["", "http://secret@host", "redis://:secret@host:port/0"])
def test_a_url_that_is_none_is_a_config_error_without_the_secret(url: str) -> None:
    with pytest.raises(ConfigError, match="URL is not valid") as refused:
        RedisTier(url)
    assert "secret" not in str(refused.value)
