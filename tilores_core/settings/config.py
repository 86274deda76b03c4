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
    extractor: str | None = Field(None, description="customer extractor used instead of the built-in one")
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
    log_hits_every: int = Field(
        100, ge=0, description="of answers from memory, one in so many has a line in the log; 1: all, 0: none"
    )
    grounding: Literal["off", "report", "block"] = Field(
        "report",
        description="values in an answer that are neither in the customer's records nor in what was said: not looked "
        "for, counted and logged, or the answer ends before them",
    )
    records_share: float = Field(
        0.5, gt=0, le=1, description="largest share of a model's context window that a customer's records may take"
    )
    default_context_window: int = Field(
        16_384, ge=512, description="context window in tokens of models of which nobody says it"
    )
    mode: Literal["direct", "tools"] = Field(
        "direct",
        description="direct: the customer's records are in the prompt of one model call; tools: the model reads and "
        "searches by itself, for one customer in an answer",
    )
    max_tool_turns: int = Field(
        4, ge=1, le=16, description="with tools: calls of the model that may ask for tools, before it must answer"
    )
    max_tool_calls: int = Field(
        4, ge=1, le=32, description="with tools: tool calls that are made at once, of those one model call asks for"
    )
    tool_result_characters: int = Field(
        12_000, ge=500, le=200_000, description="with tools: longest result of one tool call"
    )
    tool_preamble_characters: int = Field(
        160,
        ge=0,
        le=4_000,
        description="with tools: characters of a text that are held back, as it is dropped when a tool call follows",
    )


class RoutingTable(_Table):
    """`[routing]`: how models are asked, and what is done when one fails."""

    first_token_seconds: float = Field(
        8.0, gt=0, description="longest wait for a model's first token while another model may be asked instead"
    )
    stall_seconds: float = Field(5.0, gt=0, description="longest silence within an answer")
    attempts: int = Field(3, ge=1, le=3, description="most calls of one provider for one request")
    backoff_seconds: float = Field(0.25, ge=0, description="longest pause before a failed call is made again")
    retry_after_seconds: float = Field(
        2.0, ge=0, description="longest Retry-After that is waited for while another model may be asked instead"
    )
    breaker_failures: int = Field(3, ge=1, description="failures in a row after which a model is left alone")
    breaker_seconds: float = Field(15.0, gt=0, le=300, description="how long it is, before one request tries it")
    max_concurrent: int = Field(128, ge=1, description="calls of one provider at once, per process")
    concurrent: dict[str, int] = Field(
        default_factory=dict, description="the same for providers by name, where max_concurrent does not fit"
    )
    max_waiting: int = Field(512, ge=0, description="calls of one provider that may wait for their turn")
    hedge: bool = Field(
        False, description="true: ask a second time when the first token is later than nineteen in twenty of late"
    )
    on_stream_failure: Literal["resume", "buffer", "error"] = Field(
        "resume",
        description="when a model breaks off after its first words: another goes on after the last whole sentence, "
        "nothing is sent before the answer is whole, or the caller gets the error",
    )
    sentence_characters: int = Field(
        300, ge=20, description="with resume: most characters held back while a sentence has not ended"
    )
    context_windows: dict[ModelName, int] = Field(
        default_factory=dict, description="context windows in tokens of models whose provider does not list them"
    )
    filler: str = Field(
        "", max_length=200, description="what a stream says while the first token is late; empty: nothing"
    )
    filler_seconds: float = Field(0.7, gt=0, description="how late the first token is then")


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


class TracingTable(_Table):
    """`[tracing]`: what tracers are told, and how long they may take."""

    capture: Literal["none", "redacted", "full"] = Field(
        "none",
        description="what a trace says of questions, answers and records: nothing, the last question and its answer "
        "with all that is the customer's masked, or everything",
    )
    sample: float = Field(1.0, ge=0, le=1, description="share of turns that are traced; failed ones always are")
    sample_hits: float = Field(0.01, ge=0, le=1, description="the same for answers from the cache")
    max_waiting: int = Field(
        5000, ge=1, le=100_000, description="traces that may wait for one tracer; what is more is dropped and counted"
    )
    max_batch: int = Field(100, ge=1, le=1000, description="traces in one batch")
    linger_seconds: float = Field(0.5, ge=0, le=60, description="how long a batch waits for more")
    send_seconds: float = Field(10.0, gt=0, le=120, description="longest time a tracer may take for one batch")
    flush_seconds: float = Field(3.0, ge=0, le=30, description="longest time for what waits when the server ends")
    max_characters: int = Field(
        20_000, ge=100, le=1_000_000, description="longest text in a trace; of a longer one the beginning is sent"
    )


class MetricsTable(_Table):
    """`[metrics]`: what `/metrics` tells Prometheus."""

    enabled: bool = Field(True, description="false: nothing is counted, and `/metrics` is not there")
    max_models: int = Field(
        100, ge=1, le=1000, description="models that are told apart; those beyond, and unlisted ones, are `other`"
    )


class PrewarmTable(_Table):
    """`[prewarm]`: customers whose answers are there before they ask."""

    file: str = Field(
        "", description="JSON with customer lists and questions; a relative path starts at the working folder"
    )
    at_start: bool = Field(True, description="false: the first round is when a list's interval has passed once")


class BatchTable(_Table):
    """`[batch]`: batches that a server does, of `POST /admin/batch`."""

    max_body_bytes: int = Field(100 * 1024 * 1024, ge=1024, description="size of one batch's input")
    max_jobs: int = Field(16, ge=1, le=1000, description="batches that wait or run at once; beyond it 429")
    keep_hours: float = Field(168.0, gt=0, description="how long an ended batch and its results are kept")


class Config(_Table):
    """plugins.toml. `plugins` holds each plugin's table as it was written; the host validates it."""

    schema_version: Literal[1] = Field(1, alias="schema", description="version of this file's format")
    host: HostTable = HostTable()
    use: UseTable = UseTable()
    keys: dict[str, KeyTable] = Field(default_factory=dict)
    chat: ChatTable = ChatTable()
    routing: RoutingTable = RoutingTable()
    cache: CacheTable = CacheTable()
    tracing: TracingTable = TracingTable()
    metrics: MetricsTable = MetricsTable()
    prewarm: PrewarmTable = PrewarmTable()
    batch: BatchTable = BatchTable()
    plugins: dict[str, dict[str, Any]] = Field(default_factory=dict)
