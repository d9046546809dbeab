"""Schema: the run store's database, brought to this version's form whenever it is opened."""

from __future__ import annotations

from typing import Final

from alembic.util import CommandError

from esper.contracts.errors import RunStoreError
from esper.services.nissa import migrations
from esper.services.nissa.run_tables import METADATA
from esper.storage.database import Database, Keeping
from esper.storage.schema import Schema

KEEPING: Final = Keeping(
    name="the run store's database",
    unavailable=RunStoreError,
    bad_value=RunStoreError,
    if_damaged="move it away; a new one is made, and `esper runs import FOLDER...` takes the runs in "
    "again",
    # The log in the run's folder is the truth; waiting for the disk would slow training down.
    survives_power_loss=False,
)
"""How Nissa keeps its records."""

SCHEMA: Final = Schema(metadata=METADATA, migrations=migrations)
"""Its tables."""


async def make_latest(database: Database) -> None:
    """Make the tables, or migrate those of an older version.

    Raises:
        RunStoreError: A newer version of Esper made them, or the database cannot be reached.
    """
    revision = await SCHEMA.current(database)
    if revision == SCHEMA.latest():
        return
    try:
        await SCHEMA.upgrade(database)
    except CommandError as error:
        raise RunStoreError(
            f"the run store's database is at revision {revision}, which this version of Esper does "
            f"not know (it has {SCHEMA.latest()}): use the version that made it, or another store"
        ) from error
