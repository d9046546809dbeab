"""A library on each of the four combinations of database and object store."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from esper.services.urza.kernel_library import Library
from esper.services.urza.urza_config import S3Access, UrzaConfig
from support.clocks import StillClock
from support.servers.postgres import PostgresServer
from support.servers.s3 import S3Place
from support.urza_databases import migrated_file, migrated_template

__all__ = ["migrated_file", "migrated_template"]


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database at the latest revision."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("migrated_file"), tmp_path / "urza.db")
        yield f"sqlite:///{tmp_path / 'urza.db'}"
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    url = server.create_database(request.getfixturevalue("migrated_template"))
    yield url
    server.drop_database(url)


@pytest.fixture(params=["local", "s3"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, S3Access | None]:
    if request.param == "local":
        return f"file://{tmp_path / 'blobs'}", None
    place: S3Place = request.getfixturevalue("s3_place")
    access = S3Access(
        endpoint=place.endpoint, access_key=place.access_key, secret_key=place.secret_key
    )
    return place.url, access


@pytest.fixture
def config(database_url: str, blobs: tuple[str, S3Access | None]) -> UrzaConfig:
    return UrzaConfig(database_url=database_url, blobs=blobs[0], s3=blobs[1])


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest_asyncio.fixture
async def library(config: UrzaConfig, clock: StillClock) -> AsyncIterator[Library]:
    library = await Library.open(config, clock)
    yield library
    await library.close()
