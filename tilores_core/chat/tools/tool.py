"""A tool as the engine runs it, and a source's LangChain tools as such."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import structlog

from tilores_core.chat.langchain_adapter import untraced
from tilores_core.contracts import Customer

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool

log = structlog.get_logger(part="chat")

Found = tuple[str, Sequence[Customer]]
"""What is said to the model, and the customers that it is about."""

_MOST_TOOLS: Final = 32
_WITH_CUSTOMERS: Final = "content_and_artifact"


class InvalidArgumentsError(Exception):
    """The model's arguments do not fit; the text says what is wrong without repeating them."""


class OtherCustomerError(Exception):
    """The tool was called for another customer than the one of this answer."""


class ToolFailedError(Exception):
    """The tool returned something other than content and customers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A tool that the server runs for the model.

    `definition` has the OpenAI shape. `run` raises `InvalidArgumentsError`, `OtherCustomerError`, or anything.
    """

    definition: Mapping[str, Any]
    run: Callable[[Mapping[str, Any]], Awaitable[Found]]

    @property
    def name(self) -> str:
        name: str = self.definition["function"]["name"]
        return name


def define(name: str, description: str, properties: Mapping[str, Any]) -> dict[str, Any]:
    """A function's definition in OpenAI's shape."""
    parameters = {"type": "object", "properties": dict(properties)}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


def adapt_tools(tools: Sequence[BaseTool], left_out: set[str]) -> list[Tool]:
    """A source's tools. Those that do not return the customers that their content is about are left out, as their
    content could not be checked. Their names go to `left_out`, and to the log the first time.
    """
    from langchain_core.utils.function_calling import convert_to_openai_tool

    telling = [tool for tool in tools[:_MOST_TOOLS] if tool.response_format == _WITH_CUSTOMERS]
    for tool in tools[:_MOST_TOOLS]:
        if tool not in telling and tool.name not in left_out:
            left_out.add(tool.name)
            log.warning("tools.tool_rejected", tool=tool.name, fix=f"answer with {_WITH_CUSTOMERS}")
    return [Tool(definition=convert_to_openai_tool(tool), run=_runner(tool)) for tool in telling]


def _runner(tool: BaseTool) -> Callable[[Mapping[str, Any]], Awaitable[Found]]:
    async def run(arguments: Mapping[str, Any]) -> Found:
        from pydantic import ValidationError

        call = {"type": "tool_call", "id": "call", "name": tool.name, "args": dict(arguments)}
        try:
            with untraced():
                message = await tool.ainvoke(call)
        except ValidationError as error:
            fields = sorted({str(problem["loc"][0]) for problem in error.errors() if problem["loc"]})
            raise InvalidArgumentsError(f"look at {', '.join(fields)}" if fields else "they do not fit") from None
        found = message.artifact
        if message.status == "error" or not isinstance(found, list | tuple):
            raise ToolFailedError
        if not all(isinstance(customer, Customer) for customer in found):
            raise ToolFailedError
        return str(message.text), tuple(found)

    return run
