"""The first tables, as they were then: `library_tables.py` goes on, this does not."""

from __future__ import annotations

from typing import Final

from alembic import op
from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    insert,
)

from esper.storage.schema import NAMING

revision = "0001"
down_revision = None

_METADATA: Final = MetaData(naming_convention=NAMING)


def upgrade() -> None:
    """Make all tables; the audit log begins with a head that seals nothing."""
    _METADATA.create_all(op.get_bind(), checkfirst=False)
    head = _METADATA.tables["audit_head"]
    op.execute(insert(head).values(id=1, sequence=0, digest="0" * 64))


def downgrade() -> None:
    """Remove all tables, and with them what they hold."""
    _METADATA.drop_all(op.get_bind(), checkfirst=False)


Table(
    "blueprints",
    _METADATA,
    Column("blueprint_id", String(128), primary_key=True),
    Column("sequence", BigInteger, nullable=False, index=True),
    Column("revision", Integer, nullable=False),
    Column("document", Text, nullable=False),
    Column("content", String(64), nullable=False),
    Column("family", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("state", String(32), nullable=False),
    Column("queued_at", Double, nullable=False),
    Column("lease_token", Integer, nullable=False),
    Column("lease_worker", String(64)),
    Column("lease_expires_at", Double),
    Column("completed_token", Integer),
    Column("completed_kernel", String(64)),
    Index(None, "state", "queued_at", "sequence"),
)
Table(
    "kernels",
    _METADATA,
    Column("kernel_id", String(64), primary_key=True),
    Column("sequence", BigInteger, nullable=False, index=True),
    Column("revision", Integer, nullable=False),
    Column("document", Text, nullable=False),
    Column("blueprint_name", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("mode", String(32), nullable=False),
    Column("status", String(32), nullable=False),
    Column("input_shape", Text, nullable=False),
    Column("output_shape", Text, nullable=False),
    Column("parameters", BigInteger, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("latency_order", Double, nullable=False),
    Column("gain_order", Double, nullable=False),
    Index(None, "gain_order", "kernel_id"),
    Index(None, "input_shape", "output_shape"),
)
Table(
    "kernel_tags",
    _METADATA,
    Column("kernel_id", ForeignKey("kernels.kernel_id"), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("value", String(200), nullable=False),
    Index(None, "name", "value"),
)
Table(
    "builds",
    _METADATA,
    Column("blueprint_id", ForeignKey("blueprints.blueprint_id"), primary_key=True),
    Column("kernel_id", ForeignKey("kernels.kernel_id"), primary_key=True, index=True),
    Column("sequence", BigInteger, nullable=False),
)
Table(
    "blobs",
    _METADATA,
    Column("digest", String(64), primary_key=True),
    Column("generation", Integer, nullable=False),
    Column("present", Integer, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("touched_at", Double, nullable=False),
)
Table(
    "aliases",
    _METADATA,
    Column("name", String(128), primary_key=True),
    Column("kernel_id", ForeignKey("kernels.kernel_id"), index=True),
    Column("revision", Integer, nullable=False),
    Column("updated_at", Double, nullable=False),
)
Table(
    "outcomes",
    _METADATA,
    Column("report_id", String(128), primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    Column("kernel_id", ForeignKey("kernels.kernel_id"), nullable=False),
    Column("run_id", String(128), nullable=False),
    Column("document", Text, nullable=False),
    Column("outcome", String(32), nullable=False),
    Column("gain", Double),
    Index(None, "kernel_id", "sequence"),
)
Table(
    "audit",
    _METADATA,
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("document", Text, nullable=False),
    Column("digest", String(64), nullable=False),
)
Table(
    "audit_head",
    _METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("sequence", BigInteger, nullable=False),
    Column("digest", String(64), nullable=False),
)
Table(
    "tokens",
    _METADATA,
    Column("token_id", String(64), primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    Column("secret_digest", String(64), nullable=False),
    Column("document", Text, nullable=False),
)
Table(
    "answers",
    _METADATA,
    Column("key", String(255), primary_key=True),
    Column("actor", String(128), primary_key=True),
    Column("route", String(128), primary_key=True),
    Column("request_digest", String(64), nullable=False),
    Column("status", Integer, nullable=False),
    Column("headers", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("stored_at", Double, nullable=False, index=True),
)
