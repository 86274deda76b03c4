"""Windows of live scores in the order of time, with an index by model, spectrum and prompt version."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

_COUNTS = ("turns", "errors", "hits", "windows", "reached")
_MEASURES = ("overall", "groundedness", "abstention", "format", "latency", "cost", "feedback")
_SUMS = tuple(f"{measure}_{part}" for measure in _MEASURES for part in ("count", "sum", "squares"))
_KEY = ("width_ms", "start_ms", "model", "spectrum", "prompt_version")
_OLD, _NEW = "tilores_score_windows", "tilores_score_windows_new"


def upgrade() -> None:
    op.create_table(
        _NEW,
        sa.Column("width_ms", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("start_ms", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("model", sa.String(200), nullable=False),
        sa.Column("spectrum", sa.String(64), nullable=False),
        sa.Column("prompt_version", sa.String(100), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in _COUNTS),
        *(sa.Column(name, sa.Float(), nullable=False) for name in _SUMS),
        sa.PrimaryKeyConstraint(*_KEY, name="pk_tilores_score_windows_by_time"),
        sqlite_with_rowid=False,
    )
    names = ", ".join((*_KEY, *_COUNTS, *_SUMS))
    op.execute(f"INSERT INTO {_NEW} ({names}) SELECT {names} FROM {_OLD}")  # noqa: S608  # our own names
    op.drop_table(_OLD)
    op.rename_table(_NEW, _OLD)
    op.create_index(
        "ix_tilores_score_windows_cell",
        _OLD,
        ["model", "spectrum", "prompt_version", "width_ms", "start_ms"],
    )
