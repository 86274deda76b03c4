"""The tables of plugins.toml. Unknown keys are errors; each value is declared once, here, with its default."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

ModelName = str


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class HostTable(_Table):
    """`[host]`"""

    autoload: Literal["all", "builtin", "none"] = Field(
        "all", description="what an installed plugin does that plugins.toml does not list"
    )
    strict: bool = Field(False, description="true: any plugin problem stops start-up")


class UseTable(_Table):
    """`[use]`: which registered name fills which role. A role not named is off."""

    cache: tuple[str, ...] = Field(("memory",), description="tiers, fastest first; any number")
    source: str = Field("demo", description="customer source")
    model: ModelName = Field("demo:simulated-1", description="default model, provider:model")
    fallbacks: tuple[ModelName, ...] = Field((), description="models tried in order when that one fails")
    optimizer: str | None = Field(None, description="optimizer strategy")
    deploy: str | None = Field(None, description="deploy target")
    executor: str | None = Field(None, description="batch executor")
    tracers: tuple[str, ...] = Field((), description="tracers")
    alerts: tuple[str, ...] = Field((), description="alert channels")


class KeyTable(_Table):
    """`[keys.NAME]`: what an API key may do."""

    scope: str = Field("default", description="keys of one scope share cached answers")
    search: bool = Field(True, description="false: this key must give customer_id")


class ChatTable(_Table):
    """`[chat]`: the request path."""

    phone_region: str = Field(
        "US", pattern="^[A-Z]{2}$", description="region of phone numbers without a country code"
    )
    max_messages: int = Field(200, ge=1, description="messages in one request")
    max_characters: int = Field(200_000, ge=1, description="characters of all messages of a request together")
    max_body_bytes: int = Field(1024 * 1024, ge=1024, description="size of a request body")
    max_batch: int = Field(100, ge=1, description="inputs of one /chat/batch")
    max_concurrent: int = Field(256, ge=1, description="requests at work per process; beyond it 503 with Retry-After")
    deadline_seconds: float = Field(60.0, gt=0, description="longest time one request may take")
    source_seconds: float = Field(5.0, gt=0, description="longest time one look-up of a customer may take")
    drain_seconds: float = Field(
        0.0, ge=0, le=60, description="after SIGTERM: not ready, still serving, for load balancers to notice"
    )
    shutdown_seconds: float = Field(30.0, gt=0, description="longest wait for running streams after that")
    cors_origins: tuple[str, ...] = Field((), description="origins a browser may call from; '*' for all")


class NamespaceTable(_Table):
    """`[cache.NAMESPACE]`: how long one kind of thing lives."""

    ttl_seconds: float = Field(gt=0, description="life of an entry")
    negative_ttl_seconds: float = Field(15.0, gt=0, description="life of 'there is nothing'")
    stale_seconds: float = Field(0.0, ge=0, description="how long past its life an entry may be served stale")


class CacheTable(_Table):
    """`[cache]`: the tiering; each tier's own settings are in its plugin's table."""

    answers: NamespaceTable = NamespaceTable(ttl_seconds=3600.0, stale_seconds=600.0)
    customers: NamespaceTable = NamespaceTable(ttl_seconds=300.0)
    schemas: NamespaceTable = NamespaceTable(ttl_seconds=3600.0)
    spectrums: dict[str, float] = Field(
        default_factory=dict,
        description="life in seconds of answers about a spectrum, where [cache.answers] does not fit",
    )
    jitter: float = Field(0.1, ge=0, lt=1, description="share by which a life is shortened at random")
    single_flight_replicas: bool = Field(
        False, description="true: replicas that miss the same thing wait for one of them to make it"
    )
    lease_seconds: float = Field(
        10.0, gt=0, le=300, description="how long the others wait for a replica that died while making something"
    )
    tier_timeout_seconds: float = Field(
        1.0, gt=0, le=30, description="longest time one call of a tier may take, whatever its own limit"
    )


class Config(_Table):
    """plugins.toml. `plugins` holds each plugin's table as it was written; the host validates it."""

    schema_version: Literal[1] = Field(1, alias="schema", description="version of this file's format")
    host: HostTable = HostTable()
    use: UseTable = UseTable()
    keys: dict[str, KeyTable] = Field(default_factory=dict)
    chat: ChatTable = ChatTable()
    cache: CacheTable = CacheTable()
    plugins: dict[str, dict[str, Any]] = Field(default_factory=dict)
