"""What a session was allowed, and when an operator closed it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("sessions", sa.Column("grant", sa.JSON))
    op.add_column("sessions", sa.Column("closed_at", sa.DateTime(timezone=True)))


def downgrade() -> None:
    op.drop_column("sessions", "closed_at")
    op.drop_column("sessions", "grant")
