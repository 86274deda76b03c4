"""Names of what is kept in the store, for who listens to its changes or names it before the store is opened."""

from __future__ import annotations

from typing import Final

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
