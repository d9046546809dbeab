"""The first tables."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_TABLES = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def upgrade() -> None:
    """Make all tables; the first line will have cursor 1."""
    _TABLES.create_all(op.get_bind(), checkfirst=False)
    op.execute(sa.text("INSERT INTO head (id, cursor) VALUES (1, 0)"))


def downgrade() -> None:
    """Remove all tables, and with them what they hold."""
    _TABLES.drop_all(op.get_bind(), checkfirst=False)


def _text(name: str, **options: Any) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), **({"nullable": False} | options))


def _whole(name: str, **options: Any) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), nullable=False, autoincrement=False, **options)


def _large(name: str, **options: Any) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=False, autoincrement=False, **options)


def _real(name: str, **options: Any) -> sa.Column[float]:
    return sa.Column(name, sa.Double(), **({"nullable": False} | options))


sa.Table("head", _TABLES, _whole("id", primary_key=True), _large("cursor"))
sa.Table(
    "runs",
    _TABLES,
    _text("run_id", primary_key=True),
    _text("name"),
    _text("folder"),
    _whole("attempt"),
    _real("started_at"),
    _real("updated_at"),
    _whole("voids"),
    sa.Index(None, "started_at"),
)
sa.Table(
    "attempts",
    _TABLES,
    _text("run_id", primary_key=True),
    _whole("attempt", primary_key=True),
    _large("kept"),
)
sa.Table(
    "lines",
    _TABLES,
    sa.Column(
        "cursor",
        sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
        primary_key=True,
        autoincrement=False,
    ),
    _text("run_id"),
    _large("position"),
    _whole("attempt"),
    _real("at"),
    _text("trace_id"),
    _text("type"),
    _text("kind"),
    _large("step"),
    _text("state", nullable=True),
    _text("body"),
    sa.UniqueConstraint("run_id", "position"),
    sa.Index(None, "run_id", "cursor"),
    sa.Index(None, "run_id", "type", "kind", "position"),
    sa.Index(
        "ix_lines_states",
        "run_id",
        "position",
        sqlite_where=sa.text("state IS NOT NULL"),
        postgresql_where=sa.text("state IS NOT NULL"),
    ),
)
sa.Table(
    "series",
    _TABLES,
    sa.Column("series_id", sa.Integer(), primary_key=True),
    _text("run_id"),
    _text("name"),
    sa.UniqueConstraint("run_id", "name"),
)
sa.Table(
    "points",
    _TABLES,
    _whole("series_id", primary_key=True),
    _large("cursor", primary_key=True),
    _large("step"),
    _large("position"),
    _real("value", nullable=True),
    sqlite_with_rowid=False,
)
sa.Table(
    "mentions",
    _TABLES,
    _text("kernel_id", primary_key=True),
    _text("run_id", primary_key=True),
    _large("position", primary_key=True),
    sa.Index(None, "run_id", "position"),
    sqlite_with_rowid=False,
)
sa.Table(
    "alerts",
    _TABLES,
    _text("alert_id", primary_key=True),
    _text("run_id", nullable=True),
    _real("raised_at"),
    _real("ended_at", nullable=True),
    _text("document"),
    sa.Index(None, "raised_at"),
    sa.Index(None, "run_id", "raised_at"),
)
sa.Table(
    "components",
    _TABLES,
    _text("component", primary_key=True),
    _text("instance", primary_key=True),
    _real("seen_at"),
    _text("document"),
)
sa.Table(
    "builds",
    _TABLES,
    _text("blueprint_id", primary_key=True),
    _text("worker", primary_key=True),
    _text("kind", primary_key=True),
    _real("at", primary_key=True),
    _text("document"),
    sa.Index(None, "at"),
)
