"""Who holds a session, the servers that share a database, and their common limits."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("sessions", sa.Column("owner", sa.String(32)))
    op.add_column("sessions", sa.Column("epoch", sa.Integer, nullable=False, server_default="1"))
    op.create_index("ix_sessions_owner", "sessions", ["owner"])
    op.create_table(
        "servers",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "allowances",
        sa.Column("key", sa.String(128), primary_key=True),
        sa.Column("tokens", sa.Float, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("allowances")
    op.drop_table("servers")
    op.drop_index("ix_sessions_owner", "sessions")
    op.drop_column("sessions", "epoch")
    op.drop_column("sessions", "owner")
