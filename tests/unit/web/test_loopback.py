"""Which addresses are this machine's own."""

from __future__ import annotations

import pytest

from esper.web.loopback import is_loopback


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "::1", "[::1]", "localhost"])
def test_loopback_addresses_are_known(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "localhost.evil.org", ""])
def test_everything_else_can_be_reached_or_is_a_name(host: str) -> None:
    assert not is_loopback(host)
