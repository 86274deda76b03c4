"""Settings of the demo model: `[plugins.demo-model]` in plugins.toml."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class DemoModelSettings(BaseModel):
    """How slow and how unreliable the demo model pretends to be."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    latency_ms: float = Field(default=0, ge=0, le=600_000, description="Milliseconds before the first token.")
    tokens_per_second: float = Field(
        default=0, ge=0, le=1_000_000, description="Speed of the answer after the first token; 0 means no pause."
    )
    failure_rate: float = Field(
        default=0, ge=0, le=1, description="Share of the calls that fail as an overloaded provider does."
    )
    seed: int | None = Field(
        default=None,
        description="Makes the same calls fail in every run; unset: at random. Also decides in which answers the "
        "weaknesses of the simulated models show, where a request has no seed; unset: 0.",
    )
