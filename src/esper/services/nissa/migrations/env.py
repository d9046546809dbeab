"""What Alembic looks for beside the steps."""

from __future__ import annotations

from esper.storage import migrate

migrate.run()
