"""Experiments, and the sums of their arms."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

_SUMS = (
    "units",
    "turns",
    "errors",
    "latency",
    "latency_squares",
    "cost",
    "cost_squares",
    "scored",
    "score",
    "score_squares",
    "records",
    "records_squares",
    "score_records",
    "excluded_fallback",
    "excluded_unreliable",
    "excluded_repeat",
)


def upgrade() -> None:
    op.create_table(
        "tilores_experiments",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False, index=True),
        sa.Column("plan", sa.JSON(), nullable=False),
        sa.Column("control", sa.BigInteger(), nullable=False),
        sa.Column("slice_first", sa.BigInteger(), nullable=False),
        sa.Column("slice_end", sa.BigInteger(), nullable=False),
        sa.Column("weights", sa.JSON(), nullable=False),
        sa.Column("step_ms", sa.BigInteger(), nullable=False),
        sa.Column("started_ms", sa.BigInteger(), nullable=False, index=True),
        sa.Column("ended_ms", sa.BigInteger(), nullable=True),
        sa.Column("outcome", sa.String(32), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("verdict", sa.JSON(), nullable=False),
        sa.Column("looks", sa.JSON(), nullable=False),
    )
    op.create_table(
        "tilores_experiment_sums",
        sa.Column("experiment_id", sa.String(64), primary_key=True),
        sa.Column("step", sa.BigInteger(), primary_key=True),
        sa.Column("arm", sa.String(16), primary_key=True),
        *(sa.Column(name, sa.Float(), nullable=False) for name in _SUMS),
    )
