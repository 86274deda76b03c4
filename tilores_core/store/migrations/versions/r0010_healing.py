"""Healing: episodes, and signals of live turns."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.create_table(
        "tilores_healing_episodes",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("diagnosis", sa.String(32), nullable=False),
        sa.Column("subject", sa.String(200), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False, index=True),
        sa.Column("ended_ms", sa.BigInteger(), nullable=True),
        sa.Column("body", sa.JSON(), nullable=False),
    )
    op.create_table(
        "tilores_health_signals",
        sa.Column("kind", sa.String(16), primary_key=True),
        sa.Column("subject", sa.String(200), primary_key=True),
        sa.Column("value", sa.String(256), primary_key=True),
        sa.Column("start_ms", sa.BigInteger(), autoincrement=False, primary_key=True),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("first_ms", sa.BigInteger(), nullable=False),
        sa.Column("last_ms", sa.BigInteger(), nullable=False),
    )
