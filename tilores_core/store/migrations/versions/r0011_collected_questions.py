"""Questions of live turns that got feedback."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

_TABLE = "tilores_collected_questions"


def upgrade() -> None:
    op.create_table(
        _TABLE,
        sa.Column("run_id", sa.String(64), primary_key=True),
        sa.Column("at_ms", sa.BigInteger(), nullable=False, index=True),
        sa.Column("customer_id", sa.String(500), nullable=False, index=True),
        sa.Column("question", sa.Text(), nullable=False),
        sa.Column("spectrum", sa.String(64), nullable=False),
        sa.Column("model", sa.String(200), nullable=False),
        sa.Column("prompt_version", sa.String(100), nullable=False),
        sa.Column("fields", sa.JSON(), nullable=False),
        sa.Column("abstained", sa.Boolean(), nullable=False),
        sa.Column("score", sa.Float(), nullable=False),
    )
