"""The buses that must keep the same promises: within a process, and on a real server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from support.buses import BusPlace
from support.servers.valkey import ValkeyServer


@pytest_asyncio.fixture(params=["in-process", "valkey"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[BusPlace]:
    url = None
    if request.param == "valkey":
        server: ValkeyServer = request.getfixturevalue("valkey_server")
        url = server.url
    found = BusPlace(url, tmp_path)
    yield found
    await found.close()
