"""A turn on its way through the engine."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from tilores_core.chat.located import Located
from tilores_core.contracts import Answer, Attempt, Customer, Prompt, ToolUse, Turn


@dataclass(slots=True)
class Journey:
    """What is learned of one turn on its way. `mark`: the cache's, from when it set out."""

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
    located: Located | None = None
    spare: Answer | None = None  # too old for this turn, better than none
