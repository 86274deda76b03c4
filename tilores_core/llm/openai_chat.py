"""langchain-openai's chat models, as the engine asks them. Imported when the first chat model is made."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final

from langchain_core.messages import AIMessageChunk
from langchain_openai import ChatOpenAI
from langchain_openai.chat_models.base import BaseChatOpenAI
from openai import AsyncStream

from tilores_core.llm.failures import MalformedReplyError
from tilores_core.llm.openai_wire import Endpoint

if TYPE_CHECKING:
    from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
    from langchain_core.messages import BaseMessage
    from langchain_core.outputs import ChatGenerationChunk, ChatResult

# LangChain's bases are untyped to mypy where they are mixed with others.
# mypy: disable-error-code="misc"


# Given by LangChain's own means (`bind`, `with_structured_output`), these are for LangChain to handle.
_BOUND: Final = frozenset({"response_format", "extra_headers", "extra_query", "timeout"})


class Answering:
    """Mixed into a `BaseChatOpenAI`.

    The body goes through the SDK as it is and comes back as it is: to check every field of every event against the
    SDK's types, and to take the checked apart again, is a third of what a call costs here. What is no answer is said
    to be none. A refusal that comes instead of text is an error, with the reason that the model gave.
    `response_metadata["cost"]` is the price in US dollars where the provider says it.
    """

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        payload = self._get_request_payload(messages, stop=stop, **kwargs)  # type: ignore[attr-defined]
        if not _is_plain(payload):
            result: ChatResult = await super()._agenerate(messages, stop, run_manager, **kwargs)
            return result
        response = await self._completions.post(_body(payload))
        return self._create_chat_result(response.json())

    def _create_chat_result(self, response: Any, generation_info: dict[str, Any] | None = None) -> ChatResult:
        body = response if isinstance(response, Mapping) else getattr(response, "__dict__", {})
        if error := body.get("error") or (getattr(response, "model_extra", None) or {}).get("error"):
            raise MalformedReplyError(error)
        if not body.get("choices"):
            raise MalformedReplyError
        try:
            result: ChatResult = super()._create_chat_result(response, generation_info)
            message = body["choices"][0]["message"] if isinstance(response, Mapping) else body["choices"][0].message
            refusal = message.get("refusal") if isinstance(message, Mapping) else message.refusal
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise MalformedReplyError from error
        _refuse(refusal)
        for generation in result.generations:
            _note_cost(generation.message, (result.llm_output or {}).get("token_usage"))
        return result

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        options = {"stream": True, "stream_options": {"include_usage": True}, **kwargs}
        payload = self._get_request_payload(messages, stop=stop, **options)  # type: ignore[attr-defined]
        if not _is_plain(payload):
            async with aclosing(super()._astream(messages, stop, run_manager, **kwargs)) as made:
                async for chunk in made:
                    yield chunk
            return
        refusal, empty = "", True
        response = await self._completions.post(_body(payload), stream=True)
        events: AsyncStream[Any] = AsyncStream(
            cast_to=object,  # as it came
            response=response,
            client=self.root_async_client,  # type: ignore[attr-defined]
        )
        async with events:
            async for event in events:
                converted = self._convert_chunk_to_generation_chunk(event, AIMessageChunk, None)
                if converted is None:
                    continue
                refusal += converted.message.additional_kwargs.get("refusal") or ""
                if refusal and (converted.generation_info or {}).get("finish_reason"):
                    break
                if run_manager is not None:
                    await run_manager.on_llm_new_token(converted.text, chunk=converted)
                empty = False
                yield converted
        _refuse(refusal)
        if empty:  # status 200 and no event at all: some proxy's page
            raise MalformedReplyError

    @property
    def _completions(self) -> Endpoint:
        sdk = self.root_async_client  # type: ignore[attr-defined]
        endpoint: Endpoint | None = self.__dict__.get("_endpoint")
        if endpoint is None or endpoint.sdk is not sdk:  # a copy may have been given another client
            changing = callable(self.openai_api_key)  # type: ignore[attr-defined]  # the SDK asks it for each call
            http = None if changing else self.http_async_client  # type: ignore[attr-defined]
            endpoint = self.__dict__["_endpoint"] = Endpoint(sdk, http, "/chat/completions")
        return endpoint

    def _convert_chunk_to_generation_chunk(
        self, chunk: dict[str, Any], default_chunk_class: type, base_generation_info: dict[str, Any] | None
    ) -> ChatGenerationChunk | None:
        try:
            made: ChatGenerationChunk | None = super()._convert_chunk_to_generation_chunk(
                chunk, default_chunk_class, base_generation_info
            )
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise MalformedReplyError from error
        if made is not None:
            _note_cost(made.message, chunk.get("usage"))
            choices = chunk.get("choices")
            if choices and (piece := choices[0]["delta"].get("refusal")):
                made.message.additional_kwargs["refusal"] = piece
        return made


class OpenAIChat(Answering, ChatOpenAI):
    """Says `max_completion_tokens`, as OpenAI wants it."""


class CompatibleChat(Answering, BaseChatOpenAI):
    """Says `max_tokens`, as everybody else knows it."""


def _is_plain(payload: Mapping[str, Any]) -> bool:
    """A request to chat completions that needs nothing of LangChain's or the SDK's parsing."""
    return "messages" in payload and _BOUND.isdisjoint(payload)


def _body(payload: dict[str, Any]) -> dict[str, Any]:
    body = {**payload, **(payload.get("extra_body") or {})}
    body.pop("extra_body", None)
    return body


def _refuse(reason: object) -> None:
    if reason:
        raise MalformedReplyError({"code": "content_filter", "message": str(reason)})


def _note_cost(message: BaseMessage, usage: Any) -> None:
    cost = usage.get("cost") if isinstance(usage, Mapping) else None
    if isinstance(cost, (int, float)):
        message.response_metadata["cost"] = float(cost)
