"""Alembic's entry: migrates over the connection it is handed (`store.Store.start`)."""

from __future__ import annotations

from alembic import context

from ditto_avatar.session.schema import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
