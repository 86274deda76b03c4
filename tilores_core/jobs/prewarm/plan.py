"""What is to be warmed, as plain values; `plan_file` reads and checks them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tilores_core.contracts import Identifiers, Message

PLACEHOLDERS = ("customer_id", "phone", "email", "name", "date_of_birth")
"""What a question may leave open, written `{phone}`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """A question as the application will ask it; all of it is part of the cached answer's key.

    `messages` and `parameters` are as a request with them would be decoded. `scope`: None for that of the key that
    reported the call, else "default". `by_text`: the application names the customer in the question, not by id.
    """

    messages: tuple[Message, ...]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    model: str | None = None
    scope: str | None = None
    by_text: bool = False

    def filled(self, known: Mapping[str, str | None]) -> Opening | None:
        """With the placeholders filled in; None when one of them is not known."""
        messages: list[Message] = []
        for message in self.messages:
            content = message.get("content")
            if not isinstance(content, str):
                messages.append(message)
                continue
            for name in PLACEHOLDERS:
                mark = f"{{{name}}}"
                if mark in content:
                    value = known.get(name)
                    if not value:
                        return None
                    content = content.replace(mark, value)
            messages.append({**message, "content": content})
        return replace(self, messages=tuple(messages))


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmList:
    """Customers who are kept warm. `priority`: higher goes first. `refresh` in seconds.

    `most_matches`: identifiers that fit more customers than that warm none of them.
    """

    name: str
    customers: tuple[Identifiers, ...]
    openings: tuple[Opening, ...] = ()
    priority: int = 0
    refresh: float = 1800.0
    most_matches: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class CallPlan:
    """What is warmed for somebody who calls.

    `queue`: callers who may wait; beyond it who has waited longest is let go. `joined_seconds`: the same caller
    reported again within them is one call. `seconds`: later than that nobody waits for it any more.
    """

    openings: tuple[Opening, ...] = ()
    most_matches: int = 3
    concurrency: int = 8
    queue: int = 1000
    joined_seconds: float = 10.0
    seconds: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """`concurrency`: customers of the lists at one time. `calls_per_hour`, `cost_per_hour`: None for no limit.

    `memory_entries`: how many warmed entries are kept in this process's memory past that tier's own time.
    """

    lists: tuple[WarmList, ...] = ()
    calls: CallPlan = CallPlan()
    concurrency: int = 4
    calls_per_hour: int | None = None
    cost_per_hour: float | None = None
    memory_entries: int = 5000

    def models(self) -> set[str]:
        """The models that are named."""
        openings = (*self.calls.openings, *(opening for one in self.lists for opening in one.openings))
        return {opening.model for opening in openings if opening.model is not None}
