"""The fixture `urza`: a new library over HTTP, without a socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from support.urza_app import Served, served


@pytest_asyncio.fixture
async def urza(tmp_path: Path) -> AsyncIterator[Served]:
    async with served(tmp_path) as library:
        yield library
