"""The partner packages' chat models, pointed at a fake upstream of their provider, without retries of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from langchain_core.language_models import BaseChatModel

from tilores_core.testing.fake_upstream import FakeUpstream


def openai(**given: Any) -> BaseChatModel:
    from langchain_openai import ChatOpenAI

    return ChatOpenAI(**{"model": "gpt-4o-mini", "max_retries": 0, "stream_usage": True, **given})


def deepseek(base_url: str, **given: Any) -> BaseChatModel:
    from langchain_deepseek import ChatDeepSeek

    return ChatDeepSeek(**{"model": "deepseek-chat", "max_retries": 0, "api_base": base_url, **given})


def groq(**given: Any) -> BaseChatModel:
    from langchain_groq import ChatGroq

    return ChatGroq(**{"model": "llama-3.3-70b-versatile", "max_retries": 0, **given})


def mistral(**given: Any) -> BaseChatModel:
    from langchain_mistralai import ChatMistralAI

    return ChatMistralAI(**{"model": "mistral-small-latest", "max_retries": 1, **given})


def anthropic(**given: Any) -> BaseChatModel:
    from langchain_anthropic import ChatAnthropic

    return ChatAnthropic(**{"model": "claude-haiku-4-5", "max_retries": 0, **given})


def google(**given: Any) -> BaseChatModel:
    from langchain_google_genai import ChatGoogleGenerativeAI

    return ChatGoogleGenerativeAI(**{"model": "gemini-2.5-flash", "max_retries": 1, **given})


def ollama(api_key: str, **given: Any) -> BaseChatModel:
    from langchain_ollama import ChatOllama

    return ChatOllama(**{"model": "llama3.2", **given})


_MADE: dict[str, Callable[..., BaseChatModel]] = {
    "openai": openai,
    "openai-compatible": openai,
    "openrouter": openai,
    "deepseek": deepseek,
    "groq": groq,
    "mistral": mistral,
    "anthropic": anthropic,
    "google": google,
    "ollama": ollama,
}
NAMES = tuple(_MADE)


def model_of(upstream: FakeUpstream, key: str | None = None, **more: Any) -> BaseChatModel:
    return _MADE[upstream.dialect.name](base_url=upstream.base_url, api_key=key or upstream.key, **more)
