"""Where the fault tests have their library: embedded, and on the real servers in the long version.

`ESPER_FAULTS=long`, which `make test-faults` sets, runs everything.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from esper.services.urza.urza_config import S3Access, UrzaConfig
from support.fault_length import LONG
from support.fault_process import Launcher, launcher
from support.servers.postgres import PostgresServer
from support.servers.s3 import S3Place
from support.urza_databases import migrated_file, migrated_template

__all__ = ["migrated_file", "migrated_template"]

PLACES = ["embedded", "real"] if LONG else ["embedded"]


@pytest.fixture(scope="module")
def processes() -> Iterator[Launcher]:
    with launcher() as started:
        yield started


@pytest.fixture(params=PLACES)
def config(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[UrzaConfig]:
    """A new library: SQLite with local files, or PostgreSQL with S3."""
    if request.param == "embedded":
        shutil.copy(request.getfixturevalue("migrated_file"), tmp_path / "urza.db")
        yield UrzaConfig.default(tmp_path)
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    url = server.create_database(request.getfixturevalue("migrated_template"))
    place: S3Place = request.getfixturevalue("s3_place")
    access = S3Access(
        endpoint=place.endpoint, access_key=place.access_key, secret_key=place.secret_key
    )
    yield UrzaConfig(database_url=url, blobs=place.url, s3=access)
    server.drop_database(url)
