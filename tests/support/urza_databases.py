"""Databases at the latest revision, made once and copied for each test."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from esper.services.urza.kernel_library import KEEPING, SCHEMA
from esper.storage.database import Database
from support.servers.postgres import PostgresServer


async def upgraded(url: str) -> None:
    """Bring an empty database to the latest revision."""
    database = Database(url, KEEPING)
    await SCHEMA.upgrade(database)
    await database.close()


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite database at the latest revision, to be copied."""
    file = tmp_path_factory.mktemp("migrated") / "urza.db"
    asyncio.run(upgraded(f"sqlite:///{file}"))
    return file


@pytest.fixture(scope="session")
def migrated_template(postgres_server: PostgresServer) -> str:
    """Name of a PostgreSQL database at the latest revision, to be used as a template."""
    url = postgres_server.create_database()
    asyncio.run(upgraded(url))
    return url.rsplit("/", 1)[-1]
