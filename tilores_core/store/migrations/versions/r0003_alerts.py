"""Alerts, what is to be sent of them, and silences."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "tilores_alerts",
        sa.Column("fingerprint", sa.String(64), primary_key=True),
        sa.Column("kind", sa.String(100), nullable=False),
        sa.Column("severity", sa.String(16), nullable=False),
        sa.Column("title", sa.String(300), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("source", sa.String(100), nullable=False),
        sa.Column("model", sa.String(200), nullable=True),
        sa.Column("spectrum", sa.String(100), nullable=True),
        sa.Column("prompt_version", sa.String(200), nullable=True),
        sa.Column("labels", sa.JSON(), nullable=False),
        sa.Column("figures", sa.JSON(), nullable=False),
        sa.Column("expires_after_ms", sa.BigInteger(), nullable=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("episode", sa.BigInteger(), nullable=False),
        sa.Column("raised", sa.BigInteger(), nullable=False),
        sa.Column("first_ms", sa.BigInteger(), nullable=False),
        sa.Column("last_ms", sa.BigInteger(), nullable=False, index=True),
        sa.Column("acknowledged_ms", sa.BigInteger(), nullable=True),
        sa.Column("acknowledged_by", sa.String(200), nullable=True),
        sa.Column("resolved_ms", sa.BigInteger(), nullable=True),
        sa.Column("settled", sa.Boolean(), nullable=False, index=True),
        sa.Column("noticed_episode", sa.BigInteger(), nullable=False),
        sa.Column("noticed_ms", sa.BigInteger(), nullable=True),
        sa.Column("noticed_severity", sa.String(16), nullable=True),
        sa.Column("noticed_raised", sa.BigInteger(), nullable=False),
        sa.Column("escalation", sa.BigInteger(), nullable=False),
        sa.Column("escalated_ms", sa.BigInteger(), nullable=True),
    )
    op.create_table(
        "tilores_alert_deliveries",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("channel", sa.String(100), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False, index=True),
        sa.Column("reason", sa.String(16), nullable=False),
        sa.Column("escalation", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("message", sa.String(64), nullable=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("due_ms", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("next_ms", sa.BigInteger(), nullable=False),
        sa.Column("ended_ms", sa.BigInteger(), nullable=True, index=True),
        sa.Column("error", sa.Text(), nullable=True),
    )
    op.create_index("ix_tilores_alert_deliveries_state_channel", "tilores_alert_deliveries", ["state", "channel"])
    op.create_table(
        "tilores_alert_silences",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("fingerprint", sa.String(64), nullable=True),
        sa.Column("kind", sa.String(100), nullable=True),
        sa.Column("severity", sa.String(16), nullable=True),
        sa.Column("source", sa.String(100), nullable=True),
        sa.Column("model", sa.String(200), nullable=True),
        sa.Column("spectrum", sa.String(100), nullable=True),
        sa.Column("starts_ms", sa.BigInteger(), nullable=False),
        sa.Column("ends_ms", sa.BigInteger(), nullable=True, index=True),
        sa.Column("until_clear", sa.Boolean(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("owner", sa.String(200), nullable=False),
        sa.Column("comment", sa.String(500), nullable=False),
    )
