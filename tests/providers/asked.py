"""Asking a provider as the engine does, without routing."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

from tilores_core.chat.messages import for_model
from tilores_core.chat.models import Models
from tilores_core.contracts import CompletionPiece, LLMProvider, Message
from tilores_core.llm.normalizer import Completion

HELLO = for_model("Be brief.", [{"role": "user", "content": "Hello"}])


def user(content: Any, *, system: str = "Be brief.") -> list[Message]:
    """A conversation of one message."""
    return for_model(system, [{"role": "user", "content": content}])


async def ask(
    provider: LLMProvider,
    model: str,
    messages: Sequence[Message] = HELLO,
    parameters: Mapping[str, Any] | None = None,
    *,
    streamed: bool = False,
) -> Completion:
    """The answer, with what the provider got wrong corrected. Raises what the provider raises."""
    models = Models({"test": provider}, default=f"test:{model}")
    return await models.ask(models.default, messages, parameters, stream=streamed)


async def pieces_of(provider: LLMProvider, model: str) -> AsyncGenerator[CompletionPiece]:
    """The pieces of a streamed answer, as the provider gives them."""
    models = Models({"test": provider}, default=f"test:{model}")
    pieces, _ = await models.begin(models.default, HELLO, {}, stream=True)
    return pieces
