"""Run stores' databases at the latest revision, made once and copied for each test."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from esper.services.nissa.run_store import RunStore
from support.servers.postgres import PostgresServer


async def _made(url: str) -> None:
    await (await RunStore.open(url)).close()


@pytest.fixture(scope="session")
def made_runs_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite run store, to be copied."""
    file = tmp_path_factory.mktemp("made") / "runs.db"
    asyncio.run(_made(f"sqlite:///{file}"))
    return file


@pytest.fixture(scope="session")
def made_runs_template(postgres_server: PostgresServer) -> str:
    """Name of a PostgreSQL database with a run store, to be used as a template."""
    url = postgres_server.create_database()
    asyncio.run(_made(url))
    return url.rsplit("/", 1)[-1]
