"""LangChain's Gemini, with what this program needs beside it. Importing this imports the SDK."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from contextvars import ContextVar
from typing import Any, Self, cast

from google.genai.types import FunctionDeclaration, Tool
from langchain_core.messages import BaseMessage, HumanMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_google_genai import ChatGoogleGenerativeAI
from langchain_google_genai.chat_models import _ClientCleanup
from pydantic import Field, model_validator

from tilores_core import ContentRefusedError
from tilores_core.llm import building, check_inline

OPENED: ContextVar[list[Any]] = ContextVar("tilores_google_opened")
"""The HTTP responses of the stream that is being opened, for it to close."""

_SIGNATURES = "__gemini_function_call_thought_signatures__"  # LangChain's key for them

_BLANK = "(nothing)"


class Gemini(ChatGoogleGenerativeAI):
    """LangChain's Google chat model on the provider's shared client.

    `sdk` is the SDK's client, shared by all models of the provider; `bound` goes to each of LangChain's calls
    (`tools`, `tool_choice`, `response_format`).
    """

    sdk: Any = Field(exclude=True, repr=False)
    bound: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def validate_environment(self) -> Self:
        # In place of LangChain's, which makes a client with connections of its own for each model.
        self.client = self.sdk
        if tools := self.bound.get("tools"):
            self.bound["tools"] = [Tool(function_declarations=[_declaration(tool["function"]) for tool in tools])]
        self._client_cleanup = _Shared(self.sdk)
        return self

    def _prepare_request(self, messages: list[BaseMessage], **kwargs: Any) -> dict[str, Any]:
        check_inline(messages, title="Gemini")  # LangChain would fetch an address, on the event loop
        with building("Gemini"):
            return super()._prepare_request([_adapt(message) for message in messages], **{**kwargs, **self.bound})

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        return _check_result(super()._generate(messages, *args, **kwargs))

    async def _agenerate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        return _check_result(await super()._agenerate(messages, *args, **kwargs))

    async def _astream(
        self, messages: list[BaseMessage], *args: Any, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        opened: list[Any] = []
        OPENED.set(opened)
        try:
            async with aclosing(cast("Any", super()._astream(messages, *args, **kwargs))) as stream:
                async for generation in stream:
                    _check_prompt(generation.message.response_metadata.get("prompt_feedback"))
                    _keep_signatures(generation.message)
                    yield generation
        finally:
            # The SDK leaves the connection open until its objects are collected, when a stream is left early.
            for response in opened:
                await response.aclose()


async def event_lines(lines: AsyncIterator[str]) -> AsyncIterator[str]:
    """The lines of a stream that the SDK can read; it takes comments, `id` and `retry` for an error."""
    async for line in lines:
        if not line.startswith((":", "id:", "retry:", "event:")):
            yield f"data: {line[5:].lstrip()}" if line.startswith("data:") else line


def _declaration(function: Mapping[str, Any]) -> FunctionDeclaration:
    """With the schema as it is: LangChain would make a text of what it does not know (`$ref`, lists of types), and
    takes no enum of numbers."""
    return FunctionDeclaration(
        name=function["name"],
        description=function.get("description"),
        parameters_json_schema=function.get("parameters"),
    )


def _check_result(result: ChatResult) -> ChatResult:
    _check_prompt((result.llm_output or {}).get("prompt_feedback"))
    for generation in result.generations:
        _keep_signatures(generation.message)
    return result


def _keep_signatures(message: BaseMessage) -> None:
    """Let the signatures of thoughts travel with the tool calls that they led to."""
    signatures = message.additional_kwargs.get(_SIGNATURES)
    if signatures:
        message.additional_kwargs["extra_content"] = {
            call_id: {"google": {"thought_signature": signature}} for call_id, signature in signatures.items()
        }


def _adapt(message: BaseMessage) -> BaseMessage:
    """With the signatures of its calls. LangChain leaves out a question that is blank, and warns; it reads a tool's
    result as JSON, and would write a number in another way."""
    if message.type == "tool" and isinstance(message.content, str) and message.content.lstrip()[:1] != "{":
        return message.model_copy(update={"content": json.dumps({"output": message.content})})
    if message.type == "human" and message.content in ("", []):
        return HumanMessage(_BLANK)
    extra = message.additional_kwargs.get("extra_content")
    if not extra or message.additional_kwargs.get(_SIGNATURES):
        return message
    found = {
        call_id: own["google"]["thought_signature"]
        for call_id, own in extra.items()
        if isinstance(own, dict)
        and isinstance(own.get("google"), dict)
        and isinstance(own["google"].get("thought_signature"), str)
    }
    return message.model_copy(update={"additional_kwargs": {_SIGNATURES: found}}) if found else message


class _Shared(_ClientCleanup):
    """Closes nothing: the provider closes the client."""

    async def aclose(self) -> None:
        pass

    def __del__(self) -> None:
        pass


def _check_prompt(feedback: Any) -> None:
    """A prompt that Gemini refuses comes back as an empty answer."""
    reason = (feedback or {}).get("block_reason")
    if reason is not None:
        said = str(getattr(reason, "name", reason))[:40]
        raise ContentRefusedError(
            f"Gemini refuses the prompt ({said})", provider="google", fix="say it differently, or use another model"
        )
