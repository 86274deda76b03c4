"""Jobs of several kinds; what the worker process tells the web processes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column(
        "tilores_batch_jobs", sa.Column("kind", sa.String(16), nullable=False, server_default=sa.text("'batch'"))
    )
    op.create_table(
        "tilores_worker_reports",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("value", sa.JSON(), nullable=False),
        sa.Column("changed_ms", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "tilores_warmed_entries",
        sa.Column("key", sa.String(200), primary_key=True),
        sa.Column("changed_ms", sa.BigInteger(), nullable=False, index=True),
    )
