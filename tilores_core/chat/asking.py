"""Asking the model: the one that was named, then those that stand in for it."""

from __future__ import annotations

import time

import structlog

from tilores_core.chat.calling import Completion, invoke, stream, to_langchain
from tilores_core.chat.codes import error_code
from tilores_core.chat.flight import Emit
from tilores_core.chat.models import Models
from tilores_core.contracts import Attempt, Delta, Turn
from tilores_core.errors import ContentRefusedError, ProviderError, ProviderUnavailableError, RequestError

log = structlog.get_logger(part="chat")


class Asking:
    """Tries the model of the turn, then the fallbacks in order, as long as nothing was said yet."""

    def __init__(self, models: Models) -> None:
        self._models = models

    async def ask(
        self, turn: Turn, model: str, system: str, emit: Emit | None, attempts: list[Attempt]
    ) -> tuple[str, Completion]:
        """The model that answered and what it said; pieces go to `emit` when there is one.

        Raises the first model's `ProviderError` when no model answered; at once what another attempt would not mend:
        `ContentRefusedError`, and the `RequestError` of the model that was asked for.
        """
        first: Exception | None = None
        for name in dict.fromkeys((model, *self._models.fallbacks)):
            started = time.perf_counter()
            spoken = False

            def say(delta: Delta) -> None:
                nonlocal spoken
                spoken = True
                if emit is not None:
                    emit(delta)

            try:
                said = await self._once(turn, name, system, say if emit is not None else None)
            except Exception as error:
                mapped = self._models.provider(name).map_error(error)
                attempts.append(Attempt(model=name, seconds=time.perf_counter() - started, error=error_code(mapped)))
                if spoken or not _may_go_on(mapped, stand_in=first is not None):
                    if mapped is error:
                        raise
                    raise mapped from error
                log.warning("model failed", model=name, error=type(mapped).__name__)
                first = first or mapped
                continue
            attempts.append(Attempt(model=name, seconds=time.perf_counter() - started, usage=said.usage))
            return name, said
        raise first if first is not None else RuntimeError("no model was tried")

    async def _once(self, turn: Turn, name: str, system: str, emit: Emit | None) -> Completion:
        chat_model = await self._models.chat_model(name, turn.parameters)
        prompt = to_langchain(system, turn.messages)
        if emit is None:
            return await invoke(chat_model, prompt)
        async for item in stream(chat_model, prompt):
            if isinstance(item, Delta):
                emit(item)
            else:
                return item
        raise ProviderUnavailableError("the stream ended without an end", provider=name.partition(":")[0])


def _may_go_on(error: Exception, *, stand_in: bool) -> bool:
    """May the next model be tried? A stand-in that cannot take the request as it is says nothing of the request."""
    if isinstance(error, ProviderError):
        return not isinstance(error, ContentRefusedError)
    return stand_in and isinstance(error, RequestError)
