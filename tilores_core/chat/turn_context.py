"""The state of one turn while the engine answers it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from tilores_core.chat.customer_match import CustomerMatch
from tilores_core.contracts import Answer, Attempt, Customer, Prompt, ToolUse, Turn


@dataclass(slots=True)
class TurnContext:
    """A turn and what the engine has learned of it so far.

    `model`: the full name of the model that was asked for. `conversation`: the digest of the messages. `mark`: the
    cache's revision when the turn began. `started`: on `time.perf_counter()`. `timings`: seconds by step.
    `stale_fallback`: a stored answer that is older than the turn accepts, served when no better one can be made.
    """

    turn: Turn
    model: str
    prompt: Prompt
    conversation: bytes
    mark: int
    started: float = field(default_factory=time.perf_counter)
    timings: dict[str, float] = field(default_factory=dict)
    attempts: list[Attempt] = field(default_factory=list)
    tools: list[ToolUse] = field(default_factory=list)
    customer: Customer | None = None
    match: CustomerMatch | None = None
    stale_fallback: Answer | None = None
