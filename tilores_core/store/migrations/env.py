"""Run by Alembic for every command, with the connection that migrate.py hands over."""

from __future__ import annotations

from alembic import context

from tilores_core.store.migrate import VERSION_TABLE
from tilores_core.store.store import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    # SQLite changes little in place; Alembic then copies the table.
    render_as_batch=True,
    compare_type=True,
    compare_server_default=True,
)
with context.begin_transaction():
    context.run_migrations()
