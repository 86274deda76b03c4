"""The tool calls of one answer: run concurrently, then checked one after the other.

No other customer's data gets past this point. A tool returns the customers that its content is about; with a
customer in play they must be that one, whatever the tool and its arguments. While no customer is in play, the first
search that finds just one puts it in play; a search that finds several returns only what to ask the user.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
import structlog

from tilores_core.chat.context.estimate import estimate_tokens
from tilores_core.chat.customer.choices import clarification, several as several_of
from tilores_core.chat.grounding.guard import Watch
from tilores_core.chat.records import fingerprint, shorten
from tilores_core.chat.routing.budget import Budget
from tilores_core.chat.tools import wording
from tilores_core.chat.tools.own import NAMES, BoundCustomer, find_tool, records_tool
from tilores_core.chat.tools.tool import InvalidArgumentsError, OtherCustomerError, Tool, ToolFailedError, adapt_tools
from tilores_core.contracts import Customer, CustomerOutcome, CustomerSource, SupportsTools, ToolUse
from tilores_core.errors import SourceUnavailableError, error_code
from tilores_core.identity import Locale

log = structlog.get_logger(part="chat")

_UNKNOWN: Final = "unknown"
_LEAST_ROOM: Final = 64  # tokens
_LONGEST_ARGUMENTS: Final = 20_000  # characters


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of tool calls.

    `calls` at once, `characters` of one result, `seconds` for one call; `locale`: of phone numbers and dates.
    """

    calls: int
    characters: int
    seconds: float
    locale: Locale


@dataclass(slots=True)
class _Called:
    """One call: what the model gets, or what a tool said and has yet to be judged."""

    content: str
    found: Sequence[Customer] = ()
    error: str | None = None
    name: str = _UNKNOWN
    started: float = 0.0
    seconds: float = 0.0
    theirs: bool = False  # a call that is the caller's to make


@dataclass(slots=True, kw_only=True)
class ToolRunner:
    """The tools of one answer and the customer that it is about.

    `search`: whether customers other than `bound` may be searched for. `room`: tokens that all results may take
    together; `began`: the turn's start on `time.perf_counter()`. `same` stays true while all results are about what
    `bound` was when the answer began.
    """

    source: CustomerSource
    bound: BoundCustomer | None
    search: bool
    limits: Limits
    room: int
    budget: Budget
    began: float
    uses: list[ToolUse]
    watch: Watch | None
    left_out: set[str] = field(default_factory=set)
    theirs: Collection[str] = ()  # names of the caller's own tools
    outcome: CustomerOutcome | None = None  # what the searches came to
    same: bool = True
    _first: str = ""
    _searched: bool = False
    _tools: dict[str, Tool] | None = None
    _spent: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._first = "" if self.bound is None else fingerprint(self.bound.customer)
        self._searched = self.bound is None

    # --- which tools there are ---------------------------------------------------------------------------

    async def tools(self) -> Mapping[str, Tool]:
        """Those for the customer in play, else those that find one; by name."""
        if self._tools is None:
            self._tools = {tool.name: tool for tool in await self._make() if tool.name not in self.theirs}
        return self._tools

    async def _make(self) -> list[Tool]:
        made = [records_tool(self._in_play)]
        offered = await self._sources() if self.search else None
        if offered is not None:
            made += [tool for tool in offered if tool.name not in NAMES]
        elif self.search and self._searched:
            made.append(find_tool(self.source, self.limits.locale, self._in_play))
        return made

    def _in_play(self) -> BoundCustomer | None:
        return self.bound

    async def _sources(self) -> list[Tool] | None:
        """The source's own tools; None where it has none, or cannot make them now."""
        if not isinstance(self.source, SupportsTools):
            return None
        try:
            async with asyncio.timeout(self._seconds()):
                return adapt_tools(
                    await self.source.tools(None if self.bound is None else self.bound.customer), self.left_out
                )
        except Exception as error:  # a plugin's code
            log.warning("tools.source_failed", error=error_code(error))
            return None

    def _seconds(self) -> float:
        return min(self.limits.seconds, self.budget.remaining())

    # --- a turn's calls ----------------------------------------------------------------------------------

    async def run(self, calls: Sequence[Mapping[str, Any]]) -> list[str]:
        """What the model gets for each call, in their order."""
        tools = await self.tools()
        ours = 0
        pending: list[Any] = []
        for call in calls:
            name = call["function"]["name"]
            if name in self.theirs:
                pending.append(_at_once(_Called(wording.LATER, theirs=True, error="later")))
                continue
            ours += 1
            if ours > self.limits.calls:
                pending.append(
                    _at_once(_Called(wording.TOO_MANY, error="too_many", name=_loggable_name(name, tools)))
                )
            elif name not in tools:
                names = ", ".join(tools)
                pending.append(_at_once(_Called(wording.UNKNOWN.format(names=names), error="unknown_tool")))
            else:
                pending.append(self._call(tools[name], call["function"].get("arguments") or "{}"))
        now = time.perf_counter() - self.began
        ran: list[_Called] = await asyncio.gather(*pending)
        before = self.bound
        contents = [self._judge(one) for one in ran]
        if self.bound is not before:
            self._tools = None  # the source's must know only this one from now on
        self.uses += [
            ToolUse(name=one.name, seconds=one.seconds, started=one.started or now, error=one.error)
            for one in ran
            if not one.theirs
        ]
        return contents

    async def _call(self, tool: Tool, written: str) -> _Called:
        started = time.perf_counter()
        ran = await self._run_tool(tool, written)
        ran.name = tool.name
        ran.started = started - self.began
        ran.seconds = time.perf_counter() - started
        return ran

    async def _run_tool(self, tool: Tool, written: str) -> _Called:
        try:
            arguments = orjson.loads(written) if len(written) <= _LONGEST_ARGUMENTS else None
        except orjson.JSONDecodeError:
            arguments = None
        if not isinstance(arguments, dict):
            return _Called(wording.INVALID.format(problem=wording.NO_OBJECT), error="invalid_arguments")
        try:
            async with asyncio.timeout(self._seconds()):
                content, found = await tool.run(arguments)
            return _Called(content, found)
        except InvalidArgumentsError as error:
            return _Called(wording.INVALID.format(problem=error), error="invalid_arguments")
        except OtherCustomerError:
            return _Called(wording.REFUSED, error="refused")
        except TimeoutError:
            return _Called(wording.LATE, error="timeout")
        except SourceUnavailableError as error:
            return _Called(wording.AWAY, error=error_code(error))
        except Exception as error:  # a plugin's code; what it says may hold anything
            code = "failed" if isinstance(error, ToolFailedError) else error_code(error)
            log.warning("tools.call_failed", tool=tool.name, error=type(error).__name__)
            return _Called(wording.FAILED, error=code)

    # --- what of it the model gets -----------------------------------------------------------------------

    def _judge(self, ran: _Called) -> str:
        if ran.error is None:
            self._admit(ran, _distinct(ran.found))
        else:
            self.same = False
        return ran.content

    def _admit(self, ran: _Called, people: list[Customer]) -> None:
        """Keep the content, or replace it when it is about another customer or several."""
        if not people or any(fingerprint(customer) != self._first for customer in people):
            self.same = False
        if self.bound is None and len(people) > 1:
            self.outcome = several_of(people)
            ran.content = wording.several(clarification(self.outcome))
            if self.watch is not None:
                self.watch.heard(ran.content)
            return
        if self.bound is None and people:
            self.bound = BoundCustomer.bind_found(people[0])
            self.outcome = CustomerOutcome(kind="one", customer_id=people[0].id)
        if self.bound is not None and not all(self.bound.is_same(customer) for customer in people):
            ran.content, ran.error = wording.REFUSED, "refused"
            return
        for customer in people:
            self._about(customer)
        self._limit_length(ran)
        if self.watch is not None and self.bound is not None:
            self.watch.heard(ran.content)

    def _about(self, customer: Customer) -> None:
        mark = fingerprint(customer)
        if self.watch is not None and mark != self._first and mark not in self._spent:
            self._spent.append(mark)
            self.watch.about(customer, known=mark)

    def _limit_length(self, ran: _Called) -> None:
        if self.room < _LEAST_ROOM:
            ran.content, ran.error = wording.NO_ROOM, "no_room"
            return
        ran.content = limit_text(ran.content, self.limits.characters, self.room)
        self.room -= estimate_tokens(ran.content)


async def _at_once(ran: _Called) -> _Called:
    return ran


def _loggable_name(name: str, tools: Mapping[str, Tool]) -> str:
    """A name for the books; what a model made up may hold anything."""
    return name if name in tools else _UNKNOWN


def _distinct(found: Iterable[Customer]) -> list[Customer]:
    """Each customer once; two that share a record are one."""
    people: list[Customer] = []
    for customer in found:
        if not any(BoundCustomer(known, "").is_same(customer) for known in people):
            people.append(customer)
    return people


def limit_text(text: str, characters: int, tokens: int) -> str:
    """The text, or as much of it as fits into both; rendered records lose whole fields, and say so."""
    rendered = text.startswith("<records ") and text.endswith("</records>")
    if len(text) > characters:
        text = shorten(text, characters) if rendered else text[: characters - len(wording.CUT)] + wording.CUT
    if (taken := estimate_tokens(text)) > tokens:
        if rendered:
            return shorten(text, tokens, measure=estimate_tokens)
        text = text[: len(text) * tokens // taken - len(wording.CUT)] + wording.CUT
    return text
