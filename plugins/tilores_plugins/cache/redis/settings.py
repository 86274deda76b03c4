"""`[plugins.redis]` in plugins.toml."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

MiB = 1024 * 1024


class RedisSettings(BaseModel):
    # A URL may hold a password, and pydantic's errors repeat what was given.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    url: SecretStr = Field(
        default=SecretStr(""),
        description="redis://, rediss:// or unix:// address, with user and password where needed. "
        "Empty: embedded Redis where one can be had.",
    )
    ttl_seconds: float = Field(default=3600, gt=0, le=31_536_000, description="Longest life in this tier, seconds.")
    connect_timeout_ms: int = Field(
        default=50, ge=1, le=60_000, description="To connect, TLS and log-in included, milliseconds."
    )
    command_timeout_ms: int = Field(
        default=50, ge=1, le=60_000, description="From a command to its reply, milliseconds."
    )
    max_connections: int = Field(
        default=64,
        ge=1,
        le=10_000,
        description="Connections to each node of a cluster. A single server needs three, whatever the load.",
    )
    key_prefix: str = Field(
        default="tilores:", pattern=r"^[!-~]{1,64}$", description="Every key and channel of ours begins with it."
    )
    max_value_bytes: int = Field(
        default=4 * MiB, ge=1, le=256 * MiB, description="Larger values are not sent, only counted."
    )
    cluster: bool = Field(default=False, description="The address is a node of a Redis Cluster.")
    embedded: Literal["auto", "never", "always"] = Field(
        default="auto",
        description="Start a redis-server of our own: when there is no url (auto), never, or always.",
    )
