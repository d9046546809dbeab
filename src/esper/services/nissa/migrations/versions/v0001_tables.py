"""The first tables, as they were then: `run_tables.py` goes on, this does not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from alembic import op
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

from esper.storage.schema import NAMING

revision = "0001"
down_revision = None

_FIRST = MetaData(naming_convention=NAMING)


def upgrade() -> None:
    """Make all tables; the first line will have cursor 1."""
    _FIRST.create_all(op.get_bind(), checkfirst=False)
    op.execute(text("INSERT INTO head (id, cursor) VALUES (1, 0)"))


def downgrade() -> None:
    """Remove all tables, and with them what they hold."""
    _FIRST.drop_all(op.get_bind(), checkfirst=False)


def _columns(*, nullable: bool = False, key: bool = False, **kinds: Any) -> Iterator[Column[Any]]:
    """Yield columns by their names and types; those of a `key` are the table's primary key."""
    for name, kind in kinds.items():
        yield Column(name, kind, nullable=nullable, primary_key=key, autoincrement=False)


Table("head", _FIRST, *_columns(key=True, id=Integer), *_columns(cursor=BigInteger))
Table(
    "runs",
    _FIRST,
    *_columns(key=True, run_id=Text),
    *_columns(name=Text, folder=Text, attempt=Integer),
    *_columns(started_at=Double, updated_at=Double, voids=Integer),
    Index(None, "started_at"),
)
Table(
    "attempts",
    _FIRST,
    *_columns(key=True, run_id=Text, attempt=Integer),
    *_columns(kept=BigInteger),
)
Table(
    "lines",
    _FIRST,
    *_columns(key=True, cursor=BigInteger().with_variant(Integer(), "sqlite")),
    *_columns(run_id=Text, position=BigInteger, attempt=Integer, at=Double),
    *_columns(trace_id=Text, type=Text, kind=Text, step=BigInteger),
    *_columns(nullable=True, state=Text),
    *_columns(body=Text),
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
Table(
    "series",
    _FIRST,
    Column("series_id", Integer, primary_key=True),
    *_columns(run_id=Text, name=Text),
    UniqueConstraint("run_id", "name"),
)
Table(
    "points",
    _FIRST,
    *_columns(key=True, series_id=Integer, cursor=BigInteger),
    *_columns(step=BigInteger, position=BigInteger),
    *_columns(nullable=True, value=Double),
    sqlite_with_rowid=False,
)
Table(
    "mentions",
    _FIRST,
    *_columns(key=True, kernel_id=Text, run_id=Text, position=BigInteger),
    Index(None, "run_id", "position"),
    sqlite_with_rowid=False,
)
Table(
    "alerts",
    _FIRST,
    *_columns(key=True, alert_id=Text),
    *_columns(nullable=True, run_id=Text),
    *_columns(raised_at=Double),
    *_columns(nullable=True, ended_at=Double),
    *_columns(document=Text),
    Index(None, "raised_at"),
    Index(None, "run_id", "raised_at"),
)
Table(
    "components",
    _FIRST,
    *_columns(key=True, component=Text, instance=Text),
    *_columns(seen_at=Double, document=Text),
)
Table(
    "builds",
    _FIRST,
    *_columns(key=True, blueprint_id=Text, worker=Text, kind=Text, at=Double),
    *_columns(document=Text),
    Index(None, "at"),
)
