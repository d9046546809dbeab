"""All host types that come with Esper: importing this file registers them."""

from __future__ import annotations

from esper.execution.hosts.linear import KasminaLinear as KasminaLinear
from esper.execution.hosts.registry import HOSTS as HOSTS
