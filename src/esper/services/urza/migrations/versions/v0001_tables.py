"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make all tables; the audit log begins with a head that seals nothing."""
    _answers()
    _audit()
    _audit_head()
    _blobs()
    _blueprints()
    _kernels()
    _tokens()
    _aliases()
    _builds()
    _kernel_tags()
    _outcomes()
    op.execute(
        sa.text("INSERT INTO audit_head (id, sequence, digest) VALUES (1, 0, :zeros)").bindparams(
            zeros="0" * 64
        )
    )


def downgrade() -> None:
    """Remove all tables, and with them what they hold."""
    for table in (
        "outcomes",
        "kernel_tags",
        "builds",
        "aliases",
        "tokens",
        "kernels",
        "blueprints",
        "blobs",
        "audit_head",
        "audit",
        "answers",
    ):
        op.drop_table(table)


def _answers() -> None:
    op.create_table(
        "answers",
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("actor", sa.String(length=128), nullable=False),
        sa.Column("route", sa.String(length=128), nullable=False),
        sa.Column("request_digest", sa.String(length=64), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("headers", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("stored_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("key", "actor", "route", name="pk_answers"),
    )
    op.create_index("ix_answers_stored_at", "answers", ["stored_at"])


def _audit() -> None:
    op.create_table(
        "audit",
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name="pk_audit"),
    )


def _audit_head() -> None:
    op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit_head"),
    )


def _blobs() -> None:
    op.create_table(
        "blobs",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("present", sa.Integer(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("touched_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_blobs"),
    )


def _blueprints() -> None:
    op.create_table(
        "blueprints",
        sa.Column("blueprint_id", sa.String(length=128), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("content", sa.String(length=64), nullable=False),
        sa.Column("family", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("queued_at", sa.Double(), nullable=False),
        sa.Column("lease_token", sa.Integer(), nullable=False),
        sa.Column("lease_worker", sa.String(length=64), nullable=True),
        sa.Column("lease_expires_at", sa.Double(), nullable=True),
        sa.Column("completed_token", sa.Integer(), nullable=True),
        sa.Column("completed_kernel", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("blueprint_id", name="pk_blueprints"),
    )
    op.create_index("ix_blueprints_sequence", "blueprints", ["sequence"])
    op.create_index(
        "ix_blueprints_state_queued_at_sequence", "blueprints", ["state", "queued_at", "sequence"]
    )


def _kernels() -> None:
    op.create_table(
        "kernels",
        sa.Column("kernel_id", sa.String(length=64), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("blueprint_name", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("mode", sa.String(length=32), nullable=False),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("input_shape", sa.Text(), nullable=False),
        sa.Column("output_shape", sa.Text(), nullable=False),
        sa.Column("parameters", sa.BigInteger(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("latency_order", sa.Double(), nullable=False),
        sa.Column("gain_order", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("kernel_id", name="pk_kernels"),
    )
    op.create_index("ix_kernels_gain_order_kernel_id", "kernels", ["gain_order", "kernel_id"])
    op.create_index(
        "ix_kernels_input_shape_output_shape", "kernels", ["input_shape", "output_shape"]
    )
    op.create_index("ix_kernels_sequence", "kernels", ["sequence"])


def _tokens() -> None:
    op.create_table(
        "tokens",
        sa.Column("token_id", sa.String(length=64), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("secret_digest", sa.String(length=64), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("token_id", name="pk_tokens"),
    )


def _aliases() -> None:
    op.create_table(
        "aliases",
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("kernel_id", sa.String(length=64), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["kernel_id"], ["kernels.kernel_id"], name="fk_aliases_kernel_id"),
        sa.PrimaryKeyConstraint("name", name="pk_aliases"),
    )
    op.create_index("ix_aliases_kernel_id", "aliases", ["kernel_id"])


def _builds() -> None:
    op.create_table(
        "builds",
        sa.Column("blueprint_id", sa.String(length=128), nullable=False),
        sa.Column("kernel_id", sa.String(length=64), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["blueprint_id"], ["blueprints.blueprint_id"], name="fk_builds_blueprint_id"
        ),
        sa.ForeignKeyConstraint(["kernel_id"], ["kernels.kernel_id"], name="fk_builds_kernel_id"),
        sa.PrimaryKeyConstraint("blueprint_id", "kernel_id", name="pk_builds"),
    )
    op.create_index("ix_builds_kernel_id", "builds", ["kernel_id"])


def _kernel_tags() -> None:
    op.create_table(
        "kernel_tags",
        sa.Column("kernel_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("value", sa.String(length=200), nullable=False),
        sa.ForeignKeyConstraint(
            ["kernel_id"], ["kernels.kernel_id"], name="fk_kernel_tags_kernel_id"
        ),
        sa.PrimaryKeyConstraint("kernel_id", "name", name="pk_kernel_tags"),
    )
    op.create_index("ix_kernel_tags_name_value", "kernel_tags", ["name", "value"])


def _outcomes() -> None:
    op.create_table(
        "outcomes",
        sa.Column("report_id", sa.String(length=128), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("kernel_id", sa.String(length=64), nullable=False),
        sa.Column("run_id", sa.String(length=128), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("outcome", sa.String(length=32), nullable=False),
        sa.Column("gain", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["kernel_id"], ["kernels.kernel_id"], name="fk_outcomes_kernel_id"),
        sa.PrimaryKeyConstraint("report_id", name="pk_outcomes"),
    )
    op.create_index("ix_outcomes_kernel_id_sequence", "outcomes", ["kernel_id", "sequence"])
