"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_CURSOR = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make all tables; the first line will have cursor 1."""
    _head()
    _runs()
    _attempts()
    _lines()
    _series()
    _points()
    _mentions()
    _alerts()
    _components()
    _builds()
    op.execute(sa.text("INSERT INTO head (id, cursor) VALUES (1, 0)"))


def downgrade() -> None:
    """Remove all tables, and with them what they hold."""
    for table in (
        "builds",
        "components",
        "alerts",
        "mentions",
        "points",
        "series",
        "lines",
        "attempts",
        "runs",
        "head",
    ):
        op.drop_table(table)


def _head() -> None:
    op.create_table(
        "head",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("cursor", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_head"),
    )


def _runs() -> None:
    op.create_table(
        "runs",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("folder", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.Double(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.Column("voids", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", name="pk_runs"),
    )
    op.create_index("ix_runs_started_at", "runs", ["started_at"])


def _attempts() -> None:
    op.create_table(
        "attempts",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("kept", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "attempt", name="pk_attempts"),
    )


def _lines() -> None:
    op.create_table(
        "lines",
        sa.Column("cursor", _CURSOR, autoincrement=False, nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("trace_id", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("step", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=True),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("cursor", name="pk_lines"),
        sa.UniqueConstraint("run_id", "position", name="uq_lines_run_id_position"),
    )
    op.create_index("ix_lines_run_id_cursor", "lines", ["run_id", "cursor"])
    op.create_index(
        "ix_lines_run_id_type_kind_position", "lines", ["run_id", "type", "kind", "position"]
    )
    op.create_index(
        "ix_lines_states",
        "lines",
        ["run_id", "position"],
        sqlite_where=sa.text("state IS NOT NULL"),
        postgresql_where=sa.text("state IS NOT NULL"),
    )


def _series() -> None:
    op.create_table(
        "series",
        sa.Column("series_id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("series_id", name="pk_series"),
        sa.UniqueConstraint("run_id", "name", name="uq_series_run_id_name"),
    )


def _points() -> None:
    op.create_table(
        "points",
        sa.Column("series_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("cursor", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("step", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("series_id", "cursor", name="pk_points"),
        sqlite_with_rowid=False,
    )


def _mentions() -> None:
    op.create_table(
        "mentions",
        sa.Column("kernel_id", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("kernel_id", "run_id", "position", name="pk_mentions"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_mentions_run_id_position", "mentions", ["run_id", "position"])


def _alerts() -> None:
    op.create_table(
        "alerts",
        sa.Column("alert_id", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=True),
        sa.Column("raised_at", sa.Double(), nullable=False),
        sa.Column("ended_at", sa.Double(), nullable=True),
        sa.Column("document", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("alert_id", name="pk_alerts"),
    )
    op.create_index("ix_alerts_raised_at", "alerts", ["raised_at"])
    op.create_index("ix_alerts_run_id_raised_at", "alerts", ["run_id", "raised_at"])


def _components() -> None:
    op.create_table(
        "components",
        sa.Column("component", sa.Text(), nullable=False),
        sa.Column("instance", sa.Text(), nullable=False),
        sa.Column("seen_at", sa.Double(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("component", "instance", name="pk_components"),
    )


def _builds() -> None:
    op.create_table(
        "builds",
        sa.Column("blueprint_id", sa.Text(), nullable=False),
        sa.Column("worker", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("blueprint_id", "worker", "kind", "at", name="pk_builds"),
    )
    op.create_index("ix_builds_at", "builds", ["at"])
