"""One question on its way through the engine: `Turn`, `Answer`, `Outcome`, and what observes or prompts a turn.

Times are seconds: dates since the epoch, deadlines on `time.monotonic()`. What is made for each turn is a msgspec
struct, as a frozen dataclass takes ten times as long to make; `msgspec.structs.replace` makes a changed copy.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol, TypedDict

import msgspec

from tilores_core.contracts.source import Customer, empty_mapping

Purpose = Literal["live", "batch", "prewarm", "evaluation", "improvement"]

current_purpose: ContextVar[Purpose] = ContextVar("tilores_purpose", default="live")
"""What the current work is for, so that a source or a provider can put live calls first."""


class Message(TypedDict, total=False):
    """One message, in the shape of the OpenAI protocol whichever protocol it came by.

    `role` is one of system, user, assistant, tool; `content` a string, a list of parts, or None on an
    assistant message that only calls tools. The other keys are there only when they were given. `reasoning_content`,
    `reasoning`, `reasoning_details`, `thinking_blocks` and `extra_content` of a tool call are a provider's own state:
    it gets them back as they came. `native`: see `CompletionPiece`; never in a message that came from a caller.
    """

    role: str
    content: str | list[dict[str, Any]] | None
    name: str
    tool_calls: list[dict[str, Any]]
    tool_call_id: str
    reasoning_content: str
    reasoning: str
    reasoning_details: list[Any]
    thinking_blocks: list[Any]
    native: Any


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
    """A system prompt. `template` holds `{customer}` where the customer's part goes.

    `parts`: the texts that the template was made of, by name: `role`, `answer_style`, `refusal`, `hedging`,
    `disambiguation`, and `guidance.SPECTRUM` for each spectrum that has guidance of its own; empty for a prompt that
    is only a template. `version` names the text with all its guidance: it is part of every cached answer's key.
    """

    version: str
    template: str
    parts: Mapping[str, str] = field(default_factory=empty_mapping)

    def for_spectrum(self, spectrum: str) -> Prompt:
        """The same version with the guidance for one spectrum where the template has `{guidance}`."""
        before, variable, after = self.template.partition("{guidance}")
        if not variable:
            return self
        guidance = self.parts.get(f"guidance.{spectrum}", "")
        if not guidance:
            after = after.lstrip("\n")
        return Prompt(version=self.version, template=f"{before}{guidance}{after}", parts=self.parts)


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """One question to the engine.

    `messages`: at least one user message. `model`: `provider:model`, None for the default. `parameters`: what
    shapes the model's answer (temperature, max_tokens, stop, seed, tools, …), OpenAI names, only those given.
    `run_id`: UUID text, also the trace's id. `deadline`: on `time.monotonic()`, None for no limit. `traceparent`: the
    W3C header that came with the request.
    """

    messages: tuple[Message, ...]
    model: str | None = None
    customer_id: str | None = None
    parameters: Mapping[str, Any] = msgspec.field(default_factory=empty_mapping)
    session_id: str | None = None
    caller: Caller = DEFAULT_CALLER
    request_id: str = ""
    run_id: str = ""
    deadline: float | None = None
    purpose: Purpose = "live"
    prompt: Prompt | None = None
    cache: CachePolicy = DEFAULT_CACHE_POLICY
    traceparent: str | None = None


CustomerKind = Literal["unnamed", "none", "one", "several"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerChoice:
    """One of several matches: only the traits that tell it from the others."""

    traits: Mapping[str, str]


class CustomerOutcome(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Which customer the question is about. `unnamed`: it names none, a general question.

    `none`: it names one that does not exist, or what it says contradicts itself. `several`: `choices` tells the
    matches apart, by the traits whose labels are `distinguished_by`; empty when none does; `more` are left out of
    `choices`.
    """

    kind: CustomerKind
    customer_id: str | None = None
    choices: tuple[CustomerChoice, ...] = ()
    distinguished_by: tuple[str, ...] = ()
    more: int = 0


FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]


class Usage(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Tokens as the provider counted them. `cached_tokens`: those of the input that it had cached;
    `reasoning_tokens`: those of the output that were thoughts."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        return self.input_tokens + self.output_tokens

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            reasoning_tokens=self.reasoning_tokens + other.reasoning_tokens,
        )


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What the engine returns. `cache_tier`: `l1`, `l2`, … or `miss`; `age`: seconds since the model gave it.

    `model` is the one that answered. `cost` is in US dollars, None when no price is known, 0 on a hit.
    `tool_calls` have the OpenAI shape and are for the caller to run. `ungrounded`: how many values in the text are
    neither in the customer's records nor in the conversation (`[chat] grounding`). `state`: what the model must see
    again with the results of the tools that it calls (`reasoning_content`, …), None without tool calls.
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
    state: Mapping[str, Any] | None = None


class Delta(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of an answer while it is generated: some text, or a piece of a tool call (OpenAI delta shape).

    `model`: the model that generates it, on the first piece at least. `filler`: text sent while the answer is still
    awaited; it is not part of the answer. `state`: that of `Answer`.
    """

    text: str = ""
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    model: str | None = None
    filler: bool = False
    state: Mapping[str, Any] | None = None


class Attempt(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One call of a model. `error` is an error code, never a message, or None.

    `started`: seconds after the turn began; `first_token`: seconds after the attempt began, None when nothing came
    or everything came at once. `cost`: US dollars, None when unknown. `hedge`: a second request, sent because the
    first was slow. `served_by`: what the provider says it used, see `CompletionPiece`.
    """

    model: str
    seconds: float
    usage: Usage = Usage()
    error: str | None = None
    started: float = 0.0
    first_token: float | None = None
    cost: float | None = None
    hedge: bool = False
    served_by: str | None = None


class ToolUse(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One call of a server-side tool that a model asked for (`[chat] mode`), without its arguments and result.

    `name` is `unknown` for a tool that does not exist. `started`: seconds after the turn began. `error`: an error
    code, or None.
    """

    name: str
    seconds: float
    started: float = 0.0
    error: str | None = None


Arm = Literal["control", "candidate"]


class ExperimentArm(NamedTuple):
    """The arm of an experiment that a turn belongs to. `step`: of a roll-out, from 0. `unit`: the session or
    customer that keeps the arm; "" for a turn without one."""

    experiment_id: str
    name: str
    step: int
    arm: Arm
    unit: str


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """One turn after it ended, as observers get it. In-process only: it holds question and records.

    `timings`: seconds by step (`customer`, `cache`, `model`, `first_token`, `total`). `answer` is None when
    `error` (an error code) is set. `started_at`: seconds since the epoch. `customer_tier`: the cache tier that had
    the customer (`l1`, …, or `miss`: the source was asked), `customer_records`: how many records; both None when no
    customer was looked up. `model`: the full name of the model that was to answer, as an arm may name another than
    the turn; "" when the turn was rejected before. `arm`: the experiment's arm; None outside experiments.
    """

    turn: Turn
    answer: Answer | None
    timings: Mapping[str, float]
    attempts: tuple[Attempt, ...] = ()
    customer: Customer | None = None
    model: str = ""
    arm: ExperimentArm | None = None
    error: str | None = None
    started_at: float = 0.0
    customer_tier: str | None = None
    customer_records: int | None = None
    tools: tuple[ToolUse, ...] = ()


Observer = Callable[[Outcome], Awaitable[None]]


class PromptChoice(NamedTuple):
    """What a turn is answered with. `model`: the full name of another model than the one that the turn asks for."""

    prompt: Prompt
    model: str | None = None
    arm: ExperimentArm | None = None


class PromptSource(Protocol):
    """Chooses the prompt of a turn, and in an experiment its model. Called on every request, hits included: no I/O,
    no waiting.

    Parts of the core implement it. There is no hook for it: a plugin cannot register one.
    """

    def choose(self, turn: Turn, model: str) -> PromptChoice:
        """Choose the prompt of a turn. `model`: the full name of the model that the turn asks for."""

    @property
    def varies(self) -> bool:
        """Whether turns without session and customer may get different prompts though only their ids differ."""
