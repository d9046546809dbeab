"""A run store on each of the two databases."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from esper.services.nissa.run_store import RunStore
from support.clocks import StillClock
from support.nissa_databases import made_runs_file, made_runs_template
from support.servers.postgres import PostgresServer

__all__ = ["made_runs_file", "made_runs_template"]


@pytest.fixture(params=["sqlite", "postgres"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A store without runs."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("made_runs_file"), tmp_path / "runs.db")
        yield f"sqlite:///{tmp_path / 'runs.db'}"
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    url = server.create_database(request.getfixturevalue("made_runs_template"))
    yield url
    server.drop_database(url)


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest_asyncio.fixture
async def store(store_url: str, clock: StillClock) -> AsyncIterator[RunStore]:
    opened = await RunStore.open(store_url, clock=clock)
    yield opened
    await opened.close()
