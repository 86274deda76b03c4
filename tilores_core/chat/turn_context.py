"""The state of one turn while the engine answers it."""

from __future__ import annotations

import time

from msgspec import Struct, field

from tilores_core.cache.keys import conversation_digest
from tilores_core.cache.tiered import Hit
from tilores_core.chat.customer_match import CustomerMatch
from tilores_core.chat.messages import last_question
from tilores_core.chat.routing.budget import Budget, deadline_exceeded
from tilores_core.contracts import Answer, Attempt, Customer, ExperimentArm, Prompt, ToolUse, Turn
from tilores_core.resilience import Priority, TimeLimit
from tilores_core.spectrums import classify

_DEADLINE_GRACE = 0.25


class KeyMemo(Struct):
    """The cache keys that a request led to, kept with the decoded request so that a repeated request does not compute
    them again.

    Only for turns with the same messages and parameters. `key` is the answer's, made from `basis`; `keys` are those
    that were read from the shared tiers when it was found there. `mention`: a schema's hash, and the key of what the
    conversation names under it. `context`: of a turn that was answered from memory, for `ChatEngine.begin_again`.
    """

    basis: tuple[str, ...] = ()
    key: str = ""
    keys: tuple[str, ...] = ()
    conversation: bytes = b""
    mention: tuple[str, str] | None = None
    context: TurnContext | None = None


class TurnContext(Struct):
    """A turn and what the engine has learned of it so far.

    `model`: the full name of the model that is to answer. `asked_model`: the one that the turn asks for, where the
    `arm` of an experiment names another. `until`: the deadline on `time.monotonic()`. `revision`:
    the cache's, from before the engine looked beyond memory. `started`: on `time.perf_counter()`. `timings`: seconds
    by step. `entries`: what was read from the shared tiers, by key, None where no tier has it. `missing_key`: the key
    of the first entry that memory lacks. `customer_entry`: the entry with the customer's fingerprint.
    `stale_fallback`: a stored answer that is older than the turn accepts, served when no better one can be made.
    """

    turn: Turn
    model: str
    prompt: Prompt
    memo: KeyMemo
    until: float
    revision: int = 0
    started: float = field(default_factory=time.perf_counter)
    entries: dict[str, Hit | None] = field(default_factory=dict)
    missing_key: str | None = None
    customer_entry: Hit | None = None
    match: CustomerMatch | None = None
    customer: Customer | None = None
    timings: dict[str, float] = field(default_factory=dict)
    attempts: list[Attempt] = field(default_factory=list)
    tools: list[ToolUse] = field(default_factory=list)
    stale_fallback: Answer | None = None
    asked_model: str = ""
    arm: ExperimentArm | None = None
    _budget: Budget | None = None
    _spectrum: str = ""

    def is_missing(self, key: str) -> bool:
        """Whether the shared tiers were just found not to have this key."""
        return key in self.entries and self.entries[key] is None

    @property
    def conversation(self) -> bytes:
        """The digest of the messages, computed once per request."""
        memo = self.memo
        if not memo.conversation:
            memo.conversation = conversation_digest(self.turn.messages)
        return memo.conversation

    @property
    def spectrum(self) -> str:
        """The spectrum of the last question, computed once per turn."""
        if not self._spectrum:
            self._spectrum = classify(last_question(self.turn.messages))
        return self._spectrum

    @property
    def latest(self) -> float:
        """When the engine ends the turn's work. Model calls and tools end at the deadline by themselves, a moment
        before, so that what became of them is known."""
        return self.until + _DEADLINE_GRACE

    def deadline(self) -> TimeLimit:
        """Raise `DeadlineExceededError` in a `with` block that goes on after the turn's deadline."""
        return TimeLimit(self.latest - time.monotonic(), deadline_exceeded)

    @property
    def budget(self) -> Budget:
        """The time and priority of the turn's work; it grows when another turn joins."""
        if self._budget is None:
            self._budget = Budget(self.until, Priority(self.turn.purpose))
        return self._budget
