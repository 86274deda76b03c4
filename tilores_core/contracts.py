"""What plugins hand back, and what a question and its answer look like.

One small Protocol per role: a third party need not inherit from anything. A new ability is a new small
Protocol (`SupportsPeek`), since a method added to an old one breaks everybody who implements it. Values are
frozen dataclasses. Whether an object fits its Protocol is checked once, when it is built; that its methods
behave is what the suites in `tilores_core.testing` are for.

Times are seconds: `expires_at` and `stored_at` since the epoch, deadlines on `time.monotonic()`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypedDict, runtime_checkable

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.tools import BaseTool

_NOTHING: Mapping[str, Any] = MappingProxyType({})


def _empty() -> Mapping[str, Any]:
    return _NOTHING


# --- a question ------------------------------------------------------------------------------------------

Purpose = Literal["live", "batch", "prewarm", "evaluation", "improvement"]

current_purpose: ContextVar[Purpose] = ContextVar("tilores_purpose", default="live")
"""What the work under way is for, so that a source or a provider can let live calls go before the others."""


class Message(TypedDict, total=False):
    """One message, in the shape of the OpenAI protocol whichever protocol it came by.

    `role` is one of system, user, assistant, tool; `content` a string, a list of parts, or None on an
    assistant message that only calls tools. The other keys are there only when they were given.
    """

    role: str
    content: str | list[dict[str, Any]] | None
    name: str
    tool_calls: list[dict[str, Any]]
    tool_call_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks: the name of the API key and what it may do (`[keys.NAME]` in plugins.toml).

    Callers of one `scope` share cached answers. With `search` off the caller must give `customer_id`.
    """

    name: str = "anonymous"
    scope: str = "default"
    search: bool = True
    admin: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CachePolicy:
    """What this request accepts: answers up to `max_age` seconds old (None: as long as they live).

    `no_cache` asks for a fresh answer, which is then stored; `no_store` neither reads nor writes.
    """

    max_age: float | None = None
    no_cache: bool = False
    no_store: bool = False


DEFAULT_CALLER = Caller()
DEFAULT_CACHE_POLICY = CachePolicy()


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A system prompt. `template` holds `{customer}` where the customer's part goes."""

    version: str
    template: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One question to the engine.

    `messages`: at least one user message. `model`: `provider:model`, None for the default. `parameters`: what
    shapes the model's answer (temperature, max_tokens, stop, seed, tools, …), OpenAI names, only those given.
    `run_id`: UUID text, also the trace's id. `deadline`: on `time.monotonic()`, None for no limit. `traceparent`: the
    W3C header that came with the request.
    """

    messages: tuple[Message, ...]
    model: str | None = None
    customer_id: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=_empty)
    session_id: str | None = None
    caller: Caller = DEFAULT_CALLER
    request_id: str = ""
    run_id: str = ""
    deadline: float | None = None
    purpose: Purpose = "live"
    prompt: Prompt | None = None
    cache: CachePolicy = DEFAULT_CACHE_POLICY
    traceparent: str | None = None


# --- customers -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What one source system says of a customer. `id` is stable; `updated_at` is an ISO date or None.

    `fields`: name -> JSON value; absent rather than None. The same field in two records may disagree.
    """

    id: str
    system: str
    fields: Mapping[str, Any]
    updated_at: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchQuality:
    """How sure entity resolution is; each 0 to 1, None where the source does not say.

    `consistency`: how little the records contradict each other. `confidence`: field name -> how much its values agree
    (sum of squared shares). `hit_score`: how well the customer fits what was searched for; unlike the others it
    belongs to one search, not to the customer.
    """

    consistency: float | None = None
    hit_score: float | None = None
    confidence: Mapping[str, float] = field(default_factory=_empty)


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """One customer as entity resolution sees them: an id and the records joined under it.

    `traits`: what may be said aloud to tell this customer from a namesake, label -> value (`born`, `city`), the
    least revealing first. `id` may change when entities merge or split; record ids do not.
    """

    id: str
    name: str | None
    records: tuple[Record, ...]
    traits: Mapping[str, str] = field(default_factory=_empty)
    quality: MatchQuality | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Identifiers:
    """What is known of a customer; all that is given must fit (an AND, not an OR).

    `email` in lower case, `phone` in E.164 (`+442071838750`), `date_of_birth` as `YYYY-MM-DD`, `name` as
    it was written.
    """

    customer_id: str | None = None
    email: str | None = None
    phone: str | None = None
    name: str | None = None
    date_of_birth: str | None = None

    def __bool__(self) -> bool:
        return bool(self.customer_id or self.email or self.phone or self.name or self.date_of_birth)


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldInfo:
    """A field that a source's records may have. `type` is a JSON type name; `spectrum` one of the seven or None."""

    name: str
    type: str = "string"
    spectrum: str | None = None
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSchema:
    """The fields a source offers. `hash` changes when they do; it is part of every answer's key."""

    fields: tuple[FieldInfo, ...]
    hash: str


class CustomerSource(Protocol):
    """Where customers come from. All methods may be called concurrently.

    Raises `SourceUnavailableError` when asking again later may help, `SourceError` when not. "Nobody" is an
    answer, never an error.
    """

    async def get(self, customer_id: str) -> Customer | None:
        """The customer with this id, or None."""
        ...

    async def find(self, identifiers: Identifiers, *, limit: int = 10) -> Sequence[Customer]:
        """Customers that fit all the identifiers, best first, at most `limit`; empty when none does."""
        ...

    async def schema(self) -> SourceSchema:
        """The fields of the records; cheap after the first call."""
        ...

    async def aclose(self) -> None: ...


@runtime_checkable
class SupportsMentions(Protocol):
    """A source that can spot its own customers in free text without I/O (it holds an index of names and ids).

    Speech arrives in lower case, so names cannot always be told by their capitals.
    """

    def mentions(self, text: str) -> Sequence[Identifiers]:
        """Names or ids of this source's customers that occur in `text`, in order; empty when none does."""
        ...


@runtime_checkable
class SupportsTools(Protocol):
    """A source whose searches a model may run by itself."""

    async def tools(self, customer: Customer | None) -> Sequence[BaseTool]:
        """LangChain tools. With `customer` each is bound to that one and can return nobody else's data.

        They answer with content for the model and, as artifact, the `Customer`s that the content is about.
        """
        ...


CustomerKind = Literal["unnamed", "none", "one", "several"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerChoice:
    """One of several matches: only the traits that tell it from the others."""

    traits: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerOutcome:
    """Who the question is about. `unnamed`: nobody was named, a general question.

    `none`: somebody was named, nobody fits. `several`: `choices` tells the matches apart, by the traits whose labels
    are `distinguished_by`; empty when none does.
    """

    kind: CustomerKind
    customer_id: str | None = None
    choices: tuple[CustomerChoice, ...] = ()
    distinguished_by: tuple[str, ...] = ()


# --- an answer -------------------------------------------------------------------------------------------

FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens as the provider counted them."""

    input_tokens: int = 0
    output_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        return self.input_tokens + self.output_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the engine returns. `cache_tier`: `l1`, `l2`, … or `miss`; `age`: seconds since the model said it.

    `model` is the one that really answered. `cost` is in US dollars, None when no price is known, 0 on a hit.
    `tool_calls` have the OpenAI shape and are for the caller to run. `ungrounded`: how many values in the text are
    neither in the customer's records nor in what was said (`[chat] grounding`).
    """

    text: str
    model: str
    usage: Usage = Usage()
    cost: float | None = None
    cache_tier: str = "miss"
    age: float = 0.0
    stale: bool = False
    prompt_version: str = ""
    customer: CustomerOutcome = CustomerOutcome(kind="unnamed")
    spectrum: str = "general"
    finish_reason: FinishReason = "stop"
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    record_fingerprint: str = ""
    schema_hash: str = ""
    ungrounded: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """A piece of an answer while it is made: some text, or a piece of a tool call (OpenAI delta shape).

    `model`: who says it, on the first piece at least. `filler`: something said while the answer is awaited; it is no
    part of it.
    """

    text: str = ""
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    model: str | None = None
    filler: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One call of a model. `error` is an error code, never a message, or None.

    `started`: seconds after the turn began; `first_token`: seconds after the attempt began, None when nothing came
    or all at once.
    `cost`: US dollars, None when unknown. `hedge`: a second request sent as the first was slow.
    """

    model: str
    seconds: float
    usage: Usage = Usage()
    error: str | None = None
    started: float = 0.0
    first_token: float | None = None
    cost: float | None = None
    hedge: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolUse:
    """One call of a server-side tool that a model asked for (`[chat] mode`). What was asked and found is not kept.

    `name` is `unknown` for one that is not there. `started`: seconds after the turn began. `error`: a code, or None.
    """

    name: str
    seconds: float
    started: float = 0.0
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What observers are told of one turn, after it. In-process only: it holds question and records.

    `timings`: seconds by step (`customer`, `cache`, `model`, `first_token`, `total`). `answer` is None when
    `error` (an error code) is set. `started_at`: seconds since the epoch. `customer_tier`: where the look-up was
    known (`l1`, …, or `miss`: the source was asked), `customer_records`: how many; None when nobody looked.
    """

    turn: Turn
    answer: Answer | None
    timings: Mapping[str, float]
    attempts: tuple[Attempt, ...] = ()
    customer: Customer | None = None
    arm: str | None = None
    error: str | None = None
    started_at: float = 0.0
    customer_tier: str | None = None
    customer_records: int | None = None
    tools: tuple[ToolUse, ...] = ()


Observer = Callable[[Outcome], Awaitable[None]]


class PromptSource(Protocol):
    """Which prompt a turn gets. Called on every request, hits included: no I/O, no waiting."""

    def choose(self, turn: Turn) -> Prompt: ...


# --- models ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """A model as `/v1/models` and `tilores models` show it. `id` is without the provider's name.

    `unavailable` says what to do before it can be used. Prices are US dollars per million tokens.
    """

    id: str
    context_window: int | None = None
    max_output_tokens: int | None = None
    input_price: float | None = None
    output_price: float | None = None
    vision: bool = False
    tools: bool = False
    json_output: bool = False
    simulated: bool = False
    created: int = 0
    unavailable: str | None = None


class LLMProvider(Protocol):
    """A family of models behind one key and one address."""

    def models(self) -> Sequence[ModelInfo]:
        """The models to list; no network."""
        ...

    def chat_model(self, model: str, parameters: Mapping[str, Any]) -> BaseChatModel:
        """A LangChain chat model for `model` (without the provider's name) with the parameters set.

        Imports its SDK here, not earlier. The engine keeps what it gets and uses it concurrently. Raises
        `UnsupportedParameterError` naming a parameter the model cannot take, `UnknownModelError`,
        `ProviderAuthError` when there is no key. `parameters` may hold `tools` and `tool_choice`.

        Its answers must say in `response_metadata` why they ended (`finish_reason`, `stop_reason` or `done_reason`);
        one that does not counts as cut off.
        """
        ...

    def map_error(self, error: Exception) -> Exception:
        """The provider's own exception as one of `ProviderError`'s or `InvalidRequestError`'s kinds."""
        ...

    async def aclose(self) -> None: ...


@runtime_checkable
class SupportsUpstreams(Protocol):
    """An `LLMProvider` with several addresses: calls are limited and counted for each by itself."""

    def upstream(self, model: str) -> str:
        """What serves `model` (without the provider's name): one of a few names, also for a model nobody knows."""
        ...


# --- calls -----------------------------------------------------------------------------------------------


class CallEvents(Protocol):
    """Who is told that a call begins. A router's requests find it as `request.app.state.calls`."""

    def begins(self, identifiers: Identifiers, *, scope: str | None = None) -> bool:
        """Make ready for this caller, behind whoever asks; at once, and never raises.

        `identifiers` may be as they came: they are brought into the usual form here. `scope`: that of the key which
        will ask, by default "default". False when they identify nobody, as a withheld number does; not when nobody is
        known by them, which is told to no one.
        """
        ...


# --- traces ----------------------------------------------------------------------------------------------

SpanKind = Literal["request", "customer", "prompt", "model", "tool", "answer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A step of a turn. Times are seconds since the epoch; `attributes` never hold a customer's data or a secret.

    `inputs` and `outputs` are JSON values, already masked as `[tracing] capture` says; None when nothing may be sent.
    `error` is an error code.
    """

    kind: SpanKind
    name: str
    started: float
    ended: float
    attributes: Mapping[str, str | int | float | bool] = field(default_factory=_empty)
    inputs: Any = None
    outputs: Any = None
    error: str | None = None
    children: tuple[Span, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """One turn as tracers get it. `id` is the `run_id` that the caller was given; `session_id` joins turns.

    `tags`: short labels, `name:value`. `traceparent`: the W3C header that came with the request, or None.
    """

    id: str
    root: Span
    session_id: str | None = None
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, str | int | float | bool] = field(default_factory=_empty)
    traceparent: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """What somebody thought of an answer. `run_id` as the answer gave it; `key` says what is scored."""

    run_id: str
    key: str
    score: float | None = None
    value: str | float | bool | None = None
    comment: str | None = None


class Tracer(Protocol):
    """Somewhere traces go. What it is given is masked and sampled already, and waits in a bounded queue of its own.

    Called in the event loop, for no request: it may take its time, and what it raises is counted.
    """

    async def record(self, traces: Sequence[Trace]) -> None:
        """Send a batch, oldest first.

        A batch whose sending failed is given once more; after an `InvalidRequestError` it is not.
        """
        ...

    async def aclose(self) -> None: ...


@runtime_checkable
class SupportsFeedback(Protocol):
    """A tracer that can attach a score to a trace that it was given before."""

    async def feedback(self, feedback: Feedback) -> None: ...


# --- cache tiers -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """Bytes with an end of life (seconds since the epoch) and the tags they can be deleted by."""

    value: bytes
    expires_at: float
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TierStats:
    """A tier's own view. Counters since it was built; `entries` and `bytes` now, None where unknown."""

    entries: int | None = None
    bytes: int | None = None
    hits: int = 0
    misses: int = 0
    evictions: int = 0
    expirations: int = 0
    errors: int = 0
    extra: Mapping[str, Any] = field(default_factory=dict)


class CacheTier(Protocol):
    """One tier. Keys are ASCII, `namespace:…`, at most 200 characters. Safe for concurrent use.

    A tier never returns an expired entry, and returns bytes, expiry and tags as they were given. Failures
    raise `CacheError`; the tiering above counts them and goes on.
    """

    async def get_many(self, keys: Sequence[str]) -> Mapping[str, CacheEntry]:
        """What is there of `keys`; absent keys are absent from the answer."""
        ...

    async def set_many(self, entries: Mapping[str, CacheEntry]) -> None:
        """Store, replacing. An entry already expired, or larger than the tier takes, is dropped."""
        ...

    async def delete(self, keys: Sequence[str]) -> int:
        """Remove; how many were there."""
        ...

    async def delete_tag(self, tag: str) -> int:
        """Remove all that carry the tag; how many were there."""
        ...

    async def clear(self, namespace: str | None = None) -> int:
        """Remove a namespace (all keys that begin with `namespace:`), or everything of ours."""
        ...

    async def stats(self) -> TierStats: ...

    async def aclose(self) -> None: ...


@runtime_checkable
class SupportsPeek(Protocol):
    """A tier in this process: it answers at once, without I/O and without waiting.

    `peek` returns the very object that `put` was given: the tiering puts entries that know more than a plain one.
    """

    def peek(self, key: str) -> CacheEntry | None: ...

    def put(self, key: str, entry: CacheEntry) -> None: ...


@runtime_checkable
class SupportsLease(Protocol):
    """A tier that several processes share and that can say who may do a thing."""

    async def acquire(self, name: str, holder: str, seconds: float) -> bool:
        """True when `holder` has the lease now (also when it had it already: it is renewed)."""
        ...

    async def release(self, name: str, holder: str) -> None: ...


@runtime_checkable
class SupportsBroadcast(Protocol):
    """A tier that can tell the other processes what it removed."""

    async def publish(self, message: bytes) -> None: ...

    def messages(self) -> AsyncIterator[bytes | None]:
        """Messages of the other processes; None means: some may have been lost, trust nothing local."""
        ...


# --- what a factory is given -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginContext:
    """What a factory gets: the plugin's validated settings and where it may keep files.

    `settings` is an instance of the settings model that the spec names (None without one). A factory never
    reads the environment: references in plugins.toml and `environment` in the spec are resolved before.
    """

    plugin_id: str
    settings: Any  # the plugin's own pydantic model; only the plugin knows its type
    data_dir: Path
