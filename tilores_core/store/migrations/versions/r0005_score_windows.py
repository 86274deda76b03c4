"""Windows of live scores, the scores that wait to be tested, what the watch knows, feedback that waits."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_COUNTS = ("turns", "errors", "hits", "windows", "reached")
_MEASURES = ("overall", "groundedness", "abstention", "format", "latency", "cost", "feedback")
_SUMS = tuple(f"{measure}_{part}" for measure in _MEASURES for part in ("count", "sum", "squares"))


def _cell() -> list[sa.Column[str]]:
    return [
        sa.Column("model", sa.String(200), nullable=False),
        sa.Column("spectrum", sa.String(64), nullable=False),
        sa.Column("prompt_version", sa.String(100), nullable=False),
    ]


def upgrade() -> None:
    op.create_table(
        "tilores_score_windows",
        *_cell(),
        sa.Column("width_ms", sa.BigInteger(), nullable=False),
        sa.Column("start_ms", sa.BigInteger(), nullable=False, index=True),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in _COUNTS),
        *(sa.Column(name, sa.Float(), nullable=False) for name in _SUMS),
        sa.PrimaryKeyConstraint(
            "model", "spectrum", "prompt_version", "width_ms", "start_ms", name="pk_tilores_score_windows"
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "tilores_score_log",
        sa.Column("id", sa.BigInteger(), autoincrement=False, primary_key=True),
        sa.Column("at_ms", sa.BigInteger(), nullable=False, index=True),
        *_cell(),
        sa.Column("scores", sa.JSON(), nullable=False),
    )
    op.create_table(
        "tilores_quality_states",
        *_cell(),
        sa.Column("state", sa.JSON(), nullable=False),
        sa.Column("changed_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("model", "spectrum", "prompt_version", name="pk_tilores_quality_states"),
    )
    op.create_table(
        "tilores_waiting_feedback",
        sa.Column("id", sa.BigInteger(), autoincrement=False, primary_key=True),
        sa.Column("run_id", sa.String(64), nullable=False),
        sa.Column("score", sa.Float(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False, index=True),
    )
