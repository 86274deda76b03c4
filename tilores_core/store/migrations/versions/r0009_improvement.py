"""Improvement: cycles, their calls, and lessons."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.create_table(
        "tilores_improve_cycles",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("ended_ms", sa.BigInteger(), nullable=True),
        sa.Column("options", sa.JSON(), nullable=False),
        sa.Column("phases", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_tilores_improve_cycles"),
    )
    op.create_index("ix_tilores_improve_cycles_created_ms", "tilores_improve_cycles", ["created_ms"])
    op.create_table(
        "tilores_improve_calls",
        sa.Column("cycle_id", sa.String(64), nullable=False),
        sa.Column("subject", sa.String(64), nullable=False),
        sa.Column("call", sa.String(64), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("cycle_id", "subject", "call", name="pk_tilores_improve_calls"),
    )
    op.create_table(
        "tilores_improve_lessons",
        sa.Column("id", sa.String(100), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_tilores_improve_lessons"),
    )
