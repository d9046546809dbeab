"""Whether a text is a host at all, and whether it is this machine's own."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Final

# RFC 3986: a registered name or address of four numbers, or an address in brackets; then a port.
_HOST: Final = re.compile(
    r"(?:\[(?P<address>[0-9A-Fa-f:.]{2,45})\]|[A-Za-z0-9._~!$&'()*+,;=%-]{1,253})"
    r"(?::(?P<port>[0-9]{0,5}))?"
)


def is_host(text: str) -> bool:
    """Return whether `text` is a host, with or without a port, as a Host header must have it."""
    found = _HOST.fullmatch(text)
    if found is None or int(found["port"] or 0) > 65535:
        return False
    try:
        return found["address"] is None or ip_address(found["address"]).version == 6
    except ValueError:
        return False


def is_loopback(host: str) -> bool:
    """Return whether `host` names this machine and no other can reach it."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
