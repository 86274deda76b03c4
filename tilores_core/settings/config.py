"""The tables of plugins.toml. Unknown keys are errors; each value is declared once, here, with its default."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import AliasChoices, Field

from tilores_core.settings.alerts import AlertsTable
from tilores_core.settings.improve import (
    ExperimentsTable,
    HealingTable,
    ImproveTable,
    MonitorTable,
    PromptsTable,
    QualityTable,
)
from tilores_core.settings.table import Table as _Table

ModelName = str


class HostTable(_Table):
    """`[host]`"""

    autoload: Literal["all", "builtin", "none"] = Field(
        "all", description="which installed plugins are loaded that plugins.toml does not list"
    )
    strict: bool = Field(False, description="true: any plugin problem stops start-up")


class UseTable(_Table):
    """`[use]`: which registered name fills which role. A role not named is off."""

    cache: tuple[str, ...] = Field(("memory",), description="tiers, fastest first; any number")
    source: str = Field("demo", description="customer source")
    model: ModelName = Field("demo:simulated-1", description="default model, provider:model")
    fallbacks: tuple[ModelName, ...] = Field((), description="models tried in order when the default model fails")
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

    phone_region: str | None = Field(
        None,
        pattern="^[A-Z]{2}$",
        description="region of phone numbers without a country code; default: as the source says, else US",
    )
    day_first: bool | None = Field(
        None, description="true: 4/12/1980 is in December; default: as the source says, else by phone_region"
    )
    max_messages: int = Field(200, ge=1, description="messages in one request")
    max_characters: int = Field(200_000, ge=1, description="characters of all messages of a request together")
    max_body_bytes: int = Field(1024 * 1024, ge=1024, description="size of a request body")
    max_batch: int = Field(100, ge=1, description="inputs of one /chat/batch")
    max_concurrent: int = Field(
        256, ge=1, description="requests answered at once per process; more get 503 with Retry-After"
    )
    deadline_seconds: float = Field(60.0, gt=0, description="longest time one request may take")
    source_seconds: float = Field(5.0, gt=0, description="longest time one look-up of a customer may take")
    drain_seconds: float = Field(
        0.0,
        ge=0,
        le=60,
        description="time after SIGTERM in which readiness fails and requests are still served, for load "
        "balancers to notice",
    )
    shutdown_seconds: float = Field(30.0, gt=0, description="longest wait for running requests after that")
    failed_authentications: str = Field(
        "60/minute",
        pattern=r"^[1-9][0-9]{0,8}/(second|minute|hour|day)$",
        description="requests without a right key that one address may send, over all workers; more are refused with "
        "429 before their key is looked at",
    )
    cors_origins: tuple[str, ...] = Field((), description="origins a browser may call from; '*' for all")
    log_hits_every: int = Field(
        100, ge=0, description="one of this many answers from memory is logged; 1: all, 0: none"
    )
    spectrum_files: tuple[str, ...] = Field(
        (), description="files that add spectrums to the seven, or fields and words to one of these"
    )
    grounding: Literal["off", "report", "block"] = Field(
        "report",
        description="what happens to values in an answer that are neither in the customer's records nor in the "
        "conversation: off: not checked; report: counted and logged; block: the answer ends before them",
    )
    records_share: float = Field(
        0.5, gt=0, le=1, description="largest share of a model's context window that a customer's records may take"
    )
    default_context_window: int = Field(
        16_384, ge=512, description="context window (tokens) assumed for models that do not declare one"
    )
    without_customer: Literal["refuse", "agents", "model"] = Field(
        "agents",
        description="what answers a question when no customer fits it, or several do: refuse: a fixed text, without "
        "a model; model: the model, with this outcome in its instructions and no records; agents: the model for "
        "requests with tools of their own, else the fixed text",
    )
    mode: Literal["direct", "tools"] = Field(
        "direct",
        description="direct: one model call with the customer's records in its prompt; tools: the model reads and "
        "searches records by itself, of one customer per answer",
    )
    max_tool_turns: int = Field(
        4, ge=1, le=16, description="mode tools: model calls that may ask for tools before the model must answer"
    )
    max_tool_calls: int = Field(
        4, ge=1, le=32, description="mode tools: tool calls run at once, of those that one model call asks for"
    )
    tool_result_characters: int = Field(
        12_000, ge=500, le=200_000, description="mode tools: longest result of one tool call"
    )
    tool_preamble_characters: int = Field(
        160,
        ge=0,
        le=4_000,
        description="mode tools: characters of a text held back, because it is dropped when a tool call follows",
    )


class RoutingTable(_Table):
    """`[routing]`: how models are called, and what is done when one fails."""

    first_token_seconds: float = Field(
        8.0, gt=0, description="longest wait for a model's first token while there is a fallback"
    )
    stall_seconds: float = Field(5.0, gt=0, description="longest pause within an answer")
    attempts: int = Field(3, ge=1, le=3, description="most calls of one provider for one request")
    backoff_seconds: float = Field(0.25, ge=0, description="longest pause before a failed call is retried")
    retry_after_seconds: float = Field(
        2.0, ge=0, description="longest Retry-After that is waited for while there is a fallback"
    )
    breaker_failures: int = Field(
        3, ge=1, description="failures in a row after which a model's circuit breaker opens"
    )
    breaker_seconds: float = Field(
        15.0, gt=0, le=300, description="how long it stays open before one request tests the model"
    )
    max_concurrent: int = Field(128, ge=1, description="calls of one provider at once, per process")
    concurrent: dict[str, int] = Field(
        default_factory=dict, description="the same by provider name, instead of max_concurrent"
    )
    max_waiting: int = Field(512, ge=0, description="calls that may queue per provider")
    hedge: bool = Field(
        False,
        description="true: send a second (hedged) call when the first token is slower than the recent 95th "
        "percentile",
    )
    on_stream_failure: Literal["resume", "buffer", "error"] = Field(
        "resume",
        description="when a stream breaks off: resume: a fallback continues after the last word that was sent; "
        "buffer: answers are sent only when complete; error: the caller gets the error",
    )
    sentence_characters: int = Field(
        300, ge=20, description="resume: most characters of a continuation held back while a sentence has not ended"
    )
    context_windows: dict[ModelName, int] = Field(
        default_factory=dict, description="context windows in tokens of models whose provider does not list them"
    )
    filler: str = Field(
        "", max_length=200, description="text that a stream sends while the first token is late; empty: none"
    )
    filler_seconds: float = Field(0.7, gt=0, description="delay of the first token after which the filler is sent")


class LifeTable(_Table):
    """`[cache.customers]`: how long entries live."""

    ttl_seconds: float = Field(gt=0, description="life of an entry")
    negative_ttl_seconds: float = Field(
        15.0, gt=0, description="life of a negative result, such as a customer that does not exist"
    )


class NamespaceTable(LifeTable):
    """`[cache.NAMESPACE]`: how long entries of one kind live, and may be served after that."""

    stale_seconds: float = Field(0.0, ge=0, description="how long after its life an entry may be served stale")


class CacheTable(_Table):
    """`[cache]`: the tiering; each tier's own settings are in its plugin's table."""

    answers: NamespaceTable = NamespaceTable(ttl_seconds=3600.0, stale_seconds=600.0)
    customers: LifeTable = LifeTable(ttl_seconds=300.0)
    schemas: NamespaceTable = NamespaceTable(ttl_seconds=3600.0)
    spectrums: dict[str, float] = Field(
        default_factory=dict,
        description="life in seconds of answers by spectrum, instead of [cache.answers] ttl_seconds",
    )
    jitter: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="largest share by which a life is shortened at random, so that entries do not expire together",
    )
    single_flight_replicas: bool = Field(
        False, description="true: of replicas that miss the same entry one makes it and the others wait"
    )
    lease_seconds: float = Field(
        10.0, gt=0, le=300, description="how long the others wait for a replica that died while making an entry"
    )
    tier_timeout_seconds: float = Field(
        1.0, gt=0, le=30, description="longest time one call of a tier may take, whatever the tier's own limit"
    )


class TracingTable(_Table):
    """`[tracing]`: what is traced, and how long sending may take."""

    capture: Literal["none", "redacted", "full"] = Field(
        "none",
        description="what a trace holds of questions, answers and records: none: nothing; redacted: the last "
        "question and its answer with the customer's values masked; full: everything",
    )
    sample: float = Field(1.0, ge=0, le=1, description="share of turns that are traced; failed turns always are")
    sample_hits: float = Field(0.01, ge=0, le=1, description="the same for answers from the cache")
    max_waiting: int = Field(
        5000,
        ge=1,
        le=100_000,
        description="traces that may wait for one tracer; further ones are dropped and counted",
    )
    max_batch: int = Field(100, ge=1, le=1000, description="traces in one batch")
    schedule_delay_seconds: float = Field(
        0.5,
        ge=0,
        le=60,
        validation_alias=AliasChoices("schedule_delay_seconds", "linger_seconds"),
        description="how long a batch waits for more traces",
    )
    send_seconds: float = Field(10.0, gt=0, le=120, description="longest time a tracer may take for one batch")
    flush_seconds: float = Field(
        3.0, ge=0, le=30, description="longest time for sending queued traces when the server ends"
    )
    max_characters: int = Field(
        20_000, ge=100, le=1_000_000, description="longest text in a trace; longer ones are cut"
    )


class MetricsTable(_Table):
    """`[metrics]`: the metrics for Prometheus."""

    enabled: bool = Field(True, description="false: nothing is counted, and `/metrics` answers 404")
    max_models: int = Field(
        100, ge=1, le=1000, description="models with a label of their own; further and unlisted ones are `other`"
    )


class PrewarmTable(_Table):
    """`[prewarm]`: answers made before customers ask."""

    file: str = Field(
        "", description="JSON with customer lists and questions; a relative path starts at the working folder"
    )
    at_start: bool = Field(True, description="false: a list runs first when its interval has passed, not at start")


class DeployTable(_Table):
    """`[deploy]`: what every deployment is checked with, whatever the target."""

    ready_seconds: float = Field(
        300.0, gt=0, le=3600, description="longest time from the start of a new deployment until it is ready"
    )
    question: str = Field(
        "Reply with the word ready.",
        max_length=2000,
        description="a question that a new deployment must answer; empty: none is asked",
    )
    question_seconds: float = Field(60.0, gt=0, le=600, description="longest time for that answer")
    watch_seconds: float = Field(
        15.0, ge=0, le=3600, description="time after that in which the new deployment must stay ready"
    )
    rollback: bool = Field(
        True, description="go back to the deployment before, when the new one is not ready or does not answer"
    )
    pause_seconds: float = Field(
        3600.0,
        gt=0,
        le=86_400,
        description="longest time that a roll-out pauses decisions about prompts, should its end never be reported",
    )
    settle_seconds: float = Field(
        300.0,
        ge=0,
        le=86_400,
        description="time for which decisions about prompts pause after a server has started as another version",
    )


class BatchTable(_Table):
    """`[batch]`: batches by `POST /admin/batch`."""

    max_body_bytes: int = Field(100 * 1024 * 1024, ge=1024, description="size of one batch's input")
    max_jobs: int = Field(16, ge=1, le=1000, description="batches that wait or run at once; more get 429")
    keep_hours: float = Field(168.0, gt=0, description="how long a finished batch and its results are kept")


class WorkerTable(_Table):
    """`[worker]`: the process that runs batches, pre-warming lists and schedules beside the web processes."""

    embedded: bool = Field(True, description="false: `tilores serve` starts no worker; run `tilores worker` instead")
    nice: int = Field(
        19, ge=0, le=19, description="lowers the priority of its processor time: 0 as callers, 19 least"
    )


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
    worker: WorkerTable = WorkerTable()
    prompts: PromptsTable = PromptsTable()
    experiments: ExperimentsTable = ExperimentsTable()
    monitor: MonitorTable = MonitorTable()
    quality: QualityTable = QualityTable()
    improve: ImproveTable = ImproveTable()
    healing: HealingTable = HealingTable()
    deploy: DeployTable = DeployTable()
    alerts: AlertsTable = AlertsTable()
    plugins: dict[str, dict[str, Any]] = Field(default_factory=dict)
