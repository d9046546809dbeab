"""The run store's tables. A line's `body` is the line itself; other columns serve searches.

Times are seconds since the epoch. What can be derived from lines is derived when it is asked for;
only points, which are many, and mentions of kernels, which are asked for across runs, are kept
beside the lines, and go when their line goes. `make_latest` brings a database to this version's
form whenever it is opened.
"""

from __future__ import annotations

from typing import Final

from alembic.util import CommandError
from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from esper.contracts.errors import RunStoreError
from esper.services.nissa import migrations
from esper.storage.database import Database, Keeping
from esper.storage.schema import NAMING, Schema

METADATA: Final = MetaData(naming_convention=NAMING)

HEAD: Final = Table(
    "head",
    METADATA,
    # One row. Who takes lines in holds it from beginning to end: cursors are seen in their order.
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("cursor", BigInteger, nullable=False),
)

RUNS: Final = Table(
    "runs",
    METADATA,
    Column("run_id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("folder", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("started_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    # How often lines of it became void: whoever remembers its points must then forget them.
    Column("voids", Integer, nullable=False),
    Index(None, "started_at"),
)

ATTEMPTS: Final = Table(
    "attempts",
    METADATA,
    Column("run_id", Text, primary_key=True),
    Column("attempt", Integer, primary_key=True, autoincrement=False),
    # Bytes of the log of earlier attempts that it began with.
    Column("kept", BigInteger, nullable=False),
)

LINES: Final = Table(
    "lines",
    METADATA,
    # On SQLite only INTEGER is the row's own number, which costs nothing.
    Column(
        "cursor",
        BigInteger().with_variant(Integer(), "sqlite"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("run_id", Text, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("at", Double, nullable=False),
    Column("trace_id", Text, nullable=False),
    Column("type", Text, nullable=False),
    # Of an event; empty for other lines.
    Column("kind", Text, nullable=False),
    Column("step", BigInteger, nullable=False),
    # A `RunState`, in lines that tell of one.
    Column("state", Text),
    Column("body", Text, nullable=False),
    UniqueConstraint("run_id", "position"),
    Index(None, "run_id", "cursor"),
    Index(None, "run_id", "type", "kind", "position"),
    Index(
        "ix_lines_states",
        "run_id",
        "position",
        sqlite_where=text("state IS NOT NULL"),
        postgresql_where=text("state IS NOT NULL"),
    ),
)

SERIES: Final = Table(
    "series",
    METADATA,
    Column("series_id", Integer, primary_key=True),
    Column("run_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    UniqueConstraint("run_id", "name"),
)

POINTS: Final = Table(
    "points",
    METADATA,
    Column("series_id", Integer, primary_key=True, autoincrement=False),
    # Of the line: what is newer has more, so that a reader can fetch what it does not have.
    Column("cursor", BigInteger, primary_key=True, autoincrement=False),
    Column("step", BigInteger, nullable=False),
    # Of the line. A step that was trained again has two points; the one further on counts.
    Column("position", BigInteger, nullable=False),
    # NULL where the figure was not finite.
    Column("value", Double),
    sqlite_with_rowid=False,
)

MENTIONS: Final = Table(
    "mentions",
    METADATA,
    Column("kernel_id", Text, primary_key=True),
    Column("run_id", Text, primary_key=True),
    # Of the line.
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Index(None, "run_id", "position"),
    sqlite_with_rowid=False,
)

ALERTS: Final = Table(
    "alerts",
    METADATA,
    Column("alert_id", Text, primary_key=True),
    Column("run_id", Text),
    Column("raised_at", Double, nullable=False),
    Column("ended_at", Double),
    Column("document", Text, nullable=False),
    # An `Acknowledgement`; apart, because the document is written anew when the alert ends.
    Column("acknowledged", Text),
    Index(None, "raised_at"),
    Index(None, "run_id", "raised_at"),
)

COMPONENTS: Final = Table(
    "components",
    METADATA,
    Column("component", Text, primary_key=True),
    Column("instance", Text, primary_key=True),
    Column("seen_at", Double, nullable=False),
    Column("document", Text, nullable=False),
)

BUILDS: Final = Table(
    "builds",
    METADATA,
    Column("blueprint_id", Text, primary_key=True),
    Column("worker", Text, primary_key=True),
    # `BuildStarted` or `BuildFinished`.
    Column("kind", Text, primary_key=True),
    Column("at", Double, primary_key=True),
    Column("document", Text, nullable=False),
    Index(None, "at"),
)


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
