"""A library opens a database of its own revision only, and fills an empty file."""

from __future__ import annotations

from pathlib import Path

import pytest

from esper.contracts.errors import LibraryUnavailableError
from esper.services.urza.kernel_library import KEEPING, SCHEMA, Library
from esper.services.urza.urza_config import UrzaConfig
from esper.storage.database import Database
from support.clocks import StillClock

pytestmark = pytest.mark.asyncio


async def test_a_database_at_another_revision_is_refused(
    empty_database_url: str, tmp_path: Path
) -> None:
    database = Database(empty_database_url, KEEPING)
    await SCHEMA.upgrade(database, "+1")
    await database.close()
    config = UrzaConfig(database_url=empty_database_url, blobs=f"file://{tmp_path}")
    with pytest.raises(LibraryUnavailableError, match="esper urza migrate"):
        await Library.open(config, StillClock())


async def test_an_empty_postgres_is_refused_and_an_empty_file_is_filled(
    empty_database_url: str, tmp_path: Path
) -> None:
    config = UrzaConfig(database_url=empty_database_url, blobs=f"file://{tmp_path}")
    if empty_database_url.startswith("postgresql"):
        with pytest.raises(LibraryUnavailableError, match="revision none"):
            await Library.open(config, StillClock())
        return
    library = await Library.open(config, StillClock())
    await library.check()
    await library.close()
