"""The talk with the model: it asks for tools, gets what they say, and answers in the end.

1. A model that can call tools is asked with ours, and with the caller's own if there are any.
2. Calls of ours are made and it is asked again; calls of the caller's alone end the answer, for the caller to make.
3. After `max_tool_turns` it is asked once more as in direct mode: the records of the customer in play in the prompt,
   no tools, so that it cannot but answer. A fallback that calls no tools is asked so at once.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from msgspec.structs import replace

from tilores_core.chat.context.estimate import estimate_tokens
from tilores_core.chat.context.fitting import TokenBudgets
from tilores_core.chat.customer_lookup import CustomerLookup
from tilores_core.chat.customer_match import NO_CUSTOMER, CustomerMatch
from tilores_core.chat.grounding.guard import Watch
from tilores_core.chat.model_router import ModelRouter
from tilores_core.chat.models import Models
from tilores_core.chat.prompts import system_message
from tilores_core.chat.records import fingerprint
from tilores_core.chat.routing.delivery import Emit
from tilores_core.chat.routing.verdict import BrokenOffError
from tilores_core.chat.tools import wording
from tilores_core.chat.tools.own import NAMES, BoundCustomer
from tilores_core.chat.tools.runner import Limits, ToolRunner
from tilores_core.chat.tools.tool import Tool
from tilores_core.chat.turn_context import TurnContext
from tilores_core.contracts import Customer, Delta, Message, Prompt, Turn, Usage
from tilores_core.errors import InvalidRequestError, UnsupportedParameterError
from tilores_core.llm.normalizer import Completion
from tilores_core.settings import ChatTable

_BETWEEN: Final = "\n\n"
_OF_TOOLS: Final = frozenset({"tools", "tool_choice", "parallel_tool_calls"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolLoopResult:
    """The outcome of a tool loop. `said.usage` and `cost` are of all calls together; `seconds` went to the tools.

    `customer` and `match` as the searches left them. `reusable`: the answer rests on the customer that the turn's
    answer key stands for and on nothing else.
    """

    model: str
    said: Completion
    cost: float | None
    match: CustomerMatch
    customer: Customer | None
    reusable: bool
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """A model's calls and what it got for them."""

    model: str
    said: Completion
    results: Sequence[str]


class _Preamble:
    """Holds back the text of a model call while it has at most `longest` characters: it is dropped when a tool call
    follows. Longer text goes out and stays part of the answer.

    `kept`: the text of earlier calls that went out. The rule is the same without `emit`.
    """

    def __init__(self, emit: Emit | None, *, longest: int) -> None:
        self._emit = emit
        self._longest = longest
        self._held: list[Delta] = []
        self._length = 0
        self._open = False
        self._joined = True
        self.kept = ""

    @property
    def inlet(self) -> Emit | None:
        """Where the model's pieces go; None without `emit`."""
        return None if self._emit is None else self._take

    def _take(self, delta: Delta) -> None:
        if not delta.text:
            return  # pieces of tool calls: whose they are is known at the end
        self._held.append(replace(delta, tool_calls=(), state=None) if delta.tool_calls or delta.state else delta)
        self._length += len(delta.text)
        if self._open or self._length > self._longest:
            self._let_go()

    def _let_go(self) -> None:
        self._open = True
        held, self._held = self._held, []
        for delta in held:
            if self._emit is not None:
                self._emit(delta if self._joined else replace(delta, text=_BETWEEN + delta.text))
            self._joined = True

    def drop(self, text: str) -> None:
        """The turn's whole text was `text`, and tools are called."""
        if len(text) > self._longest:
            self._let_go()
            self.kept += text + _BETWEEN
            self._joined = False
        self._held.clear()
        self._length = 0
        self._open = False

    def finish(self) -> None:
        """The turn is the answer."""
        self._let_go()


class ToolLoop:
    """One per engine, when `[chat] mode` is `tools`."""

    def __init__(
        self,
        *,
        customers: CustomerLookup,
        models: Models,
        router: ModelRouter,
        fitting: TokenBudgets,
        chat: ChatTable,
    ) -> None:
        self.models = models
        self.router = router
        self.fitting = fitting
        self.chat = chat
        self._customers = customers
        self._left_out: set[str] = set()

    def suits(self, model: str) -> bool:
        """Whether the model (`provider:model`) can call tools; assumed for an unlisted one."""
        info = self.models.info(model)
        return info is None or info.tools

    def cache_key_part(self, model: str) -> str:
        """The settings that an answer of this model depends on. Empty for one that is asked directly."""
        chat = self.chat
        return f" tools {chat.max_tool_turns}/{chat.tool_result_characters}" if self.suits(model) else ""

    async def run(self, context: TurnContext, watch: Watch | None, emit: Emit | None) -> ToolLoopResult:
        """The answer to one turn; its pieces go to `emit`.

        Raises what `ModelRouter.ask` raises; `InvalidRequestError` for a caller's tool with the name of one of ours.
        """
        match = context.match or NO_CUSTOMER
        text = match.records_text
        runner = ToolRunner(
            source=self._customers.source,
            bound=None if match.records is None or text is None else BoundCustomer(match.records.customer, text),
            search=context.turn.caller.search,
            limits=Limits(
                calls=self.chat.max_tool_calls,
                characters=self.chat.tool_result_characters,
                seconds=self._customers.calls.seconds,
                locale=self._customers.locale,
            ),
            room=self.fitting.free(context.model, context.turn, context.prompt),
            budget=context.budget,
            began=context.started,
            uses=context.tools,
            watch=watch,
            left_out=self._left_out,
        )
        return await _Run(self, context, match, runner, emit).run()


class _Run:
    """One run of the loop."""

    def __init__(
        self, loop: ToolLoop, context: TurnContext, match: CustomerMatch, runner: ToolRunner, emit: Emit | None
    ) -> None:
        self._loop = loop
        self._context = context
        self._match = match
        self._turn = context.turn
        self._runner = runner
        self._emit = emit
        self._preamble = _Preamble(emit, longest=loop.chat.tool_preamble_characters)
        self._steps: list[_Step] = []
        self._usage = Usage()
        self._cost: float | None = 0.0
        self._seconds = 0.0
        self._only_asked = True  # no fallback had a part in it

    async def run(self) -> ToolLoopResult:
        ours = await self._runner.tools()
        theirs = _theirs(self._turn.parameters)
        _check_names(theirs, ours)
        self._runner.theirs = frozenset(theirs)
        self._runner.room -= estimate_tokens(orjson.dumps([tool.definition for tool in ours.values()]).decode())
        for number in range(self._loop.chat.max_tool_turns):
            model, said = await self._ask_if_able(await self._runner.tools(), first=number == 0)
            calls = said.tool_calls
            if not calls or all(call["function"]["name"] in theirs for call in calls):
                return self._result(model, said)
            self._preamble.drop(said.text)
            started = time.perf_counter()
            results = await self._runner.run(said.tool_calls)
            self._seconds += time.perf_counter() - started
            self._steps.append(_Step(model=model, said=said, results=results))
        model, said = await self._ask({}, first=False)
        left = tuple(call for call in said.tool_calls if _name(call) in theirs)
        if said.tool_calls and not left:  # it called what it was not offered
            if not said.text.strip():
                raise BrokenOffError("the model calls tools and answers nothing", provider=model.partition(":")[0])
            said = replace(said, finish_reason="stop")
        return self._result(model, replace(said, tool_calls=left))

    # --- one call of a model -----------------------------------------------------------------------------

    async def _ask_if_able(self, tools: Mapping[str, Tool], *, first: bool) -> tuple[str, Completion]:
        """Ask without tools when an unlisted model turns out not to take any."""
        try:
            return await self._ask(tools, first=first)
        except UnsupportedParameterError as error:
            if error.param not in _OF_TOOLS or self._turn.parameters.get("tools"):
                raise
            return await self._ask({}, first=False)

    async def _ask(self, tools: Mapping[str, Tool], *, first: bool) -> tuple[str, Completion]:
        """Without `tools`: directly."""
        with_tools = _system_with_tools(self._context.prompt, self._runner.bound)
        directly = self._direct_system()

        def uses_tools(name: str) -> bool:
            return bool(tools) and self._loop.suits(name)

        def system(name: str) -> str:
            return with_tools if uses_tools(name) else directly(name)

        def request_for(name: str) -> tuple[Turn, Sequence[Message]]:
            if not uses_tools(name):
                return self._turn, ()
            parameters = self._parameters(tools, name, first=first)
            return replace(self._turn, parameters=parameters), self._messages_so_far(name)

        model, said = await self._loop.router.ask(
            self._turn,
            self._context.model,
            system,
            self._preamble.inlet,
            self._context.attempts,
            began=self._context.started,
            request_for=request_for,
            budget=self._context.budget,
            asked_model=self._context.asked_model,
            spectrum=self._context.spectrum,
        )
        self._only_asked &= model == self._context.model
        self._usage += said.usage
        cost = self._loop.models.cost_of(model, said)
        self._cost = None if cost is None or self._cost is None else self._cost + cost
        return model, said

    def _direct_system(self) -> Callable[[str], str]:
        bound = self._runner.bound
        text = None if bound is None else bound.text
        tokens = 0 if text is None else estimate_tokens(text)
        context = self._context
        return self._loop.fitting.system(self._turn, context.prompt, text, tokens, context.spectrum)

    def _parameters(self, tools: Mapping[str, Tool], name: str, *, first: bool) -> dict[str, Any]:
        given = self._turn.parameters
        parameters = {key: value for key, value in given.items() if key != "tool_choice"}
        choice = given.get("tool_choice")
        theirs = [] if choice == "none" else given.get("tools") or []
        parameters["tools"] = [*(tool.definition for tool in tools.values()), *theirs]
        info = self._loop.models.info(name)
        if theirs and choice not in (None, "auto"):
            parameters["tool_choice"] = choice
        elif first and self._runner.bound is not None and info is not None and info.needs_tool_choice:
            parameters["tool_choice"] = "required"
        return parameters

    def _messages_so_far(self, name: str) -> list[Message]:
        """The calls that were made and what they gave, for a model to go on from."""
        messages: list[Message] = []
        for step in self._steps:
            messages.append(_calling(step, name))
            for call, content in zip(step.said.tool_calls, step.results, strict=True):
                messages.append({"role": "tool", "content": content, "tool_call_id": call["id"], "name": _name(call)})
        return messages

    # --- the end -----------------------------------------------------------------------------------------

    def _result(self, model: str, said: Completion) -> ToolLoopResult:
        self._preamble.finish()
        if self._emit is not None and said.tool_calls:
            for index, call in enumerate(said.tool_calls):
                self._emit(Delta(tool_calls=({"index": index, **call},), model=model, state=said.state or None))
        runner, match, records = self._runner, self._match, self._match.records
        customer = None if records is None else records.customer
        if runner.outcome is not None:
            match = CustomerMatch(outcome=runner.outcome)
            if runner.bound is not None:
                customer = runner.bound.customer
                record_ids = tuple(record.id for record in customer.records)
                match = dataclasses.replace(match, fingerprint=fingerprint(customer), record_ids=record_ids)
        text = self._preamble.kept + said.text if said.text else self._preamble.kept.rstrip()
        return ToolLoopResult(
            model=model,
            said=replace(said, text=text, usage=self._usage),
            cost=self._cost,
            match=match,
            customer=customer,
            reusable=records is not None and runner.same and self._only_asked,
            seconds=self._seconds,
        )


def _system_with_tools(prompt: Prompt, bound: BoundCustomer | None) -> str:
    return system_message(prompt, wording.SEARCHING if bound is None else wording.in_play(bound.text))


def _calling(step: _Step, name: str) -> Message:
    """The message that called. Its own provider gets it as it was: signatures and thoughts must come back."""
    said = step.said
    calls = list(said.tool_calls)
    if name.partition(":")[0] != step.model.partition(":")[0]:
        plain = [{key: value for key, value in call.items() if key != "extra_content"} for call in calls]
        return {"role": "assistant", "content": said.text, "tool_calls": plain}
    message: Message = {"role": "assistant", "content": said.text, "tool_calls": calls, **said.state}  # type: ignore[typeddict-item]
    if said.native is not None and [call["id"] for call in said.native.tool_calls] == [call["id"] for call in calls]:
        message["native"] = said.native
    return message


def _theirs(parameters: Mapping[str, Any]) -> list[str]:
    """The names of the tools that the caller brings, unless none of them may be called."""
    if parameters.get("tool_choice") == "none":
        return []
    return [_name(tool) for tool in parameters.get("tools") or ()]


def _check_names(theirs: Sequence[str], ours: Mapping[str, Tool]) -> None:
    for index, name in enumerate(theirs):
        if name in ours or name in NAMES:
            raise InvalidRequestError(
                f"tools[{index}].function.name: {name!r} is the name of a tool of this server",
                param=f"tools[{index}].function.name",
                fix="give it another name",
            )


def _name(tool: Mapping[str, Any]) -> str:
    name: str = tool["function"]["name"]
    return name
