"""A run store in a file of its own, for the tests of what stands around it."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from esper.services.nissa.run_store import RunStore
from support.clocks import StillClock
from support.nissa_databases import made_runs_file

__all__ = ["made_runs_file"]


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def runs_url(made_runs_file: Path, tmp_path: Path) -> str:
    shutil.copy(made_runs_file, tmp_path / "runs.db")
    return f"sqlite:///{tmp_path / 'runs.db'}"


@pytest_asyncio.fixture
async def runs(runs_url: str, clock: StillClock) -> AsyncIterator[RunStore]:
    opened = await RunStore.open(runs_url, clock=clock)
    yield opened
    await opened.close()
