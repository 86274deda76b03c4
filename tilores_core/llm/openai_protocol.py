"""Providers that speak OpenAI's chat completions: OpenAI, DeepSeek, OpenRouter, vLLM, llama.cpp and others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final

from tilores_core.llm.catalogue import ModelData
from tilores_core.llm.parameters import Field, Fields, in_model_kwargs
from tilores_core.llm.provider import ChatProvider
from tilores_core.llm.transport import library_of

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

OPENAI_FIELDS: Final[Mapping[str, Field]] = {
    # LangChain passes over the temperature of models called gpt-5…; some of them take one.
    "temperature": in_model_kwargs("temperature", of="extra_body"),
    "top_p": "top_p",
    "max_tokens": "max_tokens",
    "stop": "stop",
    "seed": "seed",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "logit_bias": "logit_bias",
    "reasoning_effort": "reasoning_effort",
    # By the SDK's own argument it would be parsed there, and an answer cut by max_tokens would be an exception.
    "response_format": in_model_kwargs("response_format", of="extra_body"),
    "tools": in_model_kwargs("tools"),
    "tool_choice": in_model_kwargs("tool_choice"),
    "parallel_tool_calls": in_model_kwargs("parallel_tool_calls"),
}
"""The protocol's parameters as arguments of langchain-openai's chat models."""


class OpenAIProtocolProvider(ChatProvider):
    """A `ChatProvider` at `default_base_url` or, when the settings have one, at theirs."""

    default_base_url: ClassVar[str]
    parameters: Fields = OPENAI_FIELDS

    def make(self, model: ModelData, fields: dict[str, Any]) -> BaseChatModel:
        return self.chat_class()(**self.arguments(model), **fields)

    def chat_class(self) -> type[BaseChatModel]:
        """The class to make; imports LangChain's package."""
        from tilores_core.llm.openai_chat import CompatibleChat

        return CompatibleChat

    def arguments(self, model: ModelData) -> dict[str, Any]:
        """The constructor's arguments that are not the request's; nothing is left for the environment to say."""
        import openai

        library = library_of(openai)
        return {
            "model": model.id,
            "api_key": self.key(),
            "base_url": self.settings.base_url or self.default_base_url,
            "timeout": self.http.timeout(library),
            "max_retries": 0,
            "stream_usage": True,
            "stream_chunk_timeout": None,  # silence is the engine's to judge
            "http_async_client": self.http.async_client(library),
            "http_client": self.http.sync_client(library),
        }
