"""What Alembic runs to migrate: on the connection that `schema.py` hands it."""

from __future__ import annotations

from alembic import context

from esper.services.urza.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    # SQLite changes a table by making it anew.
    render_as_batch=True,
    compare_type=True,
    compare_server_default=True,
)
with context.begin_transaction():
    context.run_migrations()
