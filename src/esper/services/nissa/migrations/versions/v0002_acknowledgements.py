"""Who has seen an alert."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """No alert was acknowledged before."""
    op.add_column("alerts", sa.Column("acknowledged", sa.Text(), nullable=True))


def downgrade() -> None:
    """Forget who has seen what."""
    op.drop_column("alerts", "acknowledged")
