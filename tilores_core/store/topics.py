"""What others name or hand over before the store is opened. Nothing here imports SQLAlchemy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tilores_core.contracts import Alert

ALERTS: Final = "alerts"
BATCH: Final = "batch"
EXPERIMENTS: Final = "experiments"
FEEDBACK: Final = "feedback"
HEALING: Final = "healing"
IMPROVEMENT: Final = "improvement"
PREWARM: Final = "prewarm"
PROMPTS: Final = "prompts"

PRODUCTION: Final = "production"
"""The label of the prompt version that answers live questions."""


@dataclass(slots=True, kw_only=True)
class AlertReport:
    """What one process has to say of one fingerprint: raised `count` times (0: not at all), then perhaps cleared."""

    fingerprint: str
    alert: Alert | None = None
    count: int = 0
    first_ms: int = 0
    last_ms: int = 0
    cleared_ms: int | None = None
