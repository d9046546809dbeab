"""Which texts are hosts, and which addresses are this machine's own."""

from __future__ import annotations

import pytest

from esper.web.host_names import is_host, is_loopback


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "::1", "[::1]", "localhost"])
def test_loopback_addresses_are_known(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "localhost.evil.org", ""])
def test_everything_else_can_be_reached_or_is_a_name(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize(
    "text",
    ["localhost", "localhost:8430", "esper.example", "127.0.0.1:80", "[::1]", "[::1]:8430", "a:"],
)
def test_a_host_with_or_without_a_port_is_one(text: str) -> None:
    assert is_host(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[",
        "[::1",
        "[::1]x",
        "[x]",
        "[1.2.3.4]",
        "a b",
        "a/b",
        "a@b",
        "a:b",
        "a:99999",
        "é",
        ":1",
    ],
)
def test_whatever_else_stands_in_a_host_header_is_none(text: str) -> None:
    assert not is_host(text)
