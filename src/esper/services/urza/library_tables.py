"""The library's tables. A record's `document` is the record itself; other columns serve searches.

`sequence` is the number of the audit entry that a record came in with: an order that all records
share, without gaps in what it says.
"""

from __future__ import annotations

from typing import Final

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
)

from esper.storage.schema import NAMING

METADATA: Final = MetaData(naming_convention=NAMING)

LAST: Final = 1e300
"""Stands in a sort column where there is no measurement: such records come last."""

BLUEPRINTS: Final = Table(
    "blueprints",
    METADATA,
    Column("blueprint_id", String(128), primary_key=True),
    Column("sequence", BigInteger, nullable=False, index=True),
    Column("revision", Integer, nullable=False),
    Column("document", Text, nullable=False),
    # SHA-256 of what was submitted, without its state and time: the same again is no conflict.
    Column("content", String(64), nullable=False),
    Column("family", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("state", String(32), nullable=False),
    # Seconds since the epoch since when it waits; a blueprint that is given back waits anew.
    Column("queued_at", Double, nullable=False),
    Column("lease_token", Integer, nullable=False),
    Column("lease_worker", String(64)),
    Column("lease_expires_at", Double),
    # Which lease was completed with which kernel: completing again gives the same answer.
    Column("completed_token", Integer),
    Column("completed_kernel", String(64)),
    Index(None, "state", "queued_at", "sequence"),
)

KERNELS: Final = Table(
    "kernels",
    METADATA,
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

KERNEL_TAGS: Final = Table(
    "kernel_tags",
    METADATA,
    Column("kernel_id", ForeignKey("kernels.kernel_id"), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("value", String(200), nullable=False),
    Index(None, "name", "value"),
)

BUILDS: Final = Table(
    "builds",
    METADATA,
    Column("blueprint_id", ForeignKey("blueprints.blueprint_id"), primary_key=True),
    Column("kernel_id", ForeignKey("kernels.kernel_id"), primary_key=True, index=True),
    Column("sequence", BigInteger, nullable=False),
)

BLOBS: Final = Table(
    "blobs",
    METADATA,
    Column("digest", String(64), primary_key=True),
    # Part of the object's name: a collector that was held up can only remove what it condemned.
    Column("generation", Integer, nullable=False),
    # 0 once it was collected; the row stays, so that generations only grow.
    Column("present", Integer, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("touched_at", Double, nullable=False),
)

ALIASES: Final = Table(
    "aliases",
    METADATA,
    Column("name", String(128), primary_key=True),
    # NULL once it was deleted; the row stays, so that revisions only grow.
    Column("kernel_id", ForeignKey("kernels.kernel_id"), index=True),
    Column("revision", Integer, nullable=False),
    Column("updated_at", Double, nullable=False),
)

OUTCOMES: Final = Table(
    "outcomes",
    METADATA,
    Column("report_id", String(128), primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    Column("kernel_id", ForeignKey("kernels.kernel_id"), nullable=False),
    Column("run_id", String(128), nullable=False),
    Column("document", Text, nullable=False),
    Column("outcome", String(32), nullable=False),
    Column("gain", Double),
    Index(None, "kernel_id", "sequence"),
)

AUDIT: Final = Table(
    "audit",
    METADATA,
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("document", Text, nullable=False),
    Column("digest", String(64), nullable=False),
)

AUDIT_HEAD: Final = Table(
    "audit_head",
    METADATA,
    # One row. A writer holds it from beginning to end, so that changes happen one by one.
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("sequence", BigInteger, nullable=False),
    Column("digest", String(64), nullable=False),
)

TOKENS: Final = Table(
    "tokens",
    METADATA,
    Column("token_id", String(64), primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    Column("secret_digest", String(64), nullable=False),
    Column("document", Text, nullable=False),
)

ANSWERS: Final = Table(
    "answers",
    METADATA,
    Column("key", String(255), primary_key=True),
    Column("actor", String(128), primary_key=True),
    Column("route", String(128), primary_key=True),
    Column("request_digest", String(64), nullable=False),
    Column("status", Integer, nullable=False),
    Column("headers", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("stored_at", Double, nullable=False, index=True),
)
