"""What Alembic runs to migrate: on the connection that `schema.py` hands it.

Alembic looks for an `env.py` beside a service's steps; it imports this file and calls `run`.
"""

from __future__ import annotations

from alembic import context


def run() -> None:
    """Carry the steps out in the transaction that is open."""
    attributes = context.config.attributes
    context.configure(
        connection=attributes["connection"],
        target_metadata=attributes["metadata"],
        # SQLite changes a table by making it anew.
        render_as_batch=True,
        compare_type=True,
        compare_server_default=True,
    )
    with context.begin_transaction():
        context.run_migrations()
