"""A model provider with scripted replies, so that every path that asks a model can be tested offline.

    provider = FakeProvider()
    provider.enqueue("Her balance is 40 dollars.", ProviderUnavailableError("down", provider="fake"))
    models = Models({"fake": provider}, default="fake:fake-1")

The first call then gets the text, the second the error. `provider.asked` tells what the model was sent.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tilores_core.contracts import ModelInfo, Usage
from tilores_core.errors import ProviderError, TiloresError, UnknownModelError

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import BaseMessage

FAKE_MODEL = ModelInfo(id="fake-1", simulated=True, immediate=True, continues=False, needs_tool_choice=True)

_PIECE = re.compile(r"\s*\S+\s*|\s+")


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeReply:
    """What the model says to one call.

    `pieces`: the text as it is streamed, by default word by word. `tool_calls` have the OpenAI shape. `error` is
    raised after `error_after` pieces of a stream, at once without one. The call takes `seconds`, and waits for
    `until` if that is given, before the first piece; `between` is awaited after each piece. With `finish_reason=None`
    the model never says that it was done. `usage=None`: counted as one token a word.
    """

    text: str = ""
    pieces: tuple[str, ...] | None = None
    finish_reason: str | None = "stop"
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    usage: Usage | None = None
    error: Exception | None = None
    error_after: int = 0
    seconds: float = 0.0
    until: asyncio.Event | None = None
    between: Callable[[], Any] | None = None

    def streamed(self) -> tuple[str, ...]:
        """The text in pieces."""
        return tuple(_PIECE.findall(self.text)) if self.pieces is None else self.pieces

    def whole(self) -> str:
        return self.text if self.pieces is None else "".join(self.pieces)


Reply = str | Exception | FakeReply


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeCall:
    """One call of a model: its name, its parameters, the LangChain messages it was sent."""

    model: str
    parameters: Mapping[str, Any]
    messages: tuple[BaseMessage, ...]
    streamed: bool

    @property
    def system(self) -> str:
        """The text of the system messages."""
        return "\n".join(str(m.text) for m in self.messages if m.type == "system")

    @property
    def text(self) -> str:
        """The text of all messages: everything that the model could have read."""
        return "\n".join(str(m.text) for m in self.messages)


class FakeProvider:
    """An `LLMProvider` whose models reply from one queue, in the order of the calls.

    When the queue is empty, `otherwise` replies: a text, a reply, or a function of the call. Without it the call
    fails with an `AssertionError`, so that a call too many is seen. With `unlisted=False` only listed models are
    made. `cancelled` counts calls that were cut off, `running` those under way, `built` the chat models that were
    made. An error that is not one of ours is mapped to `ProviderError`.
    """

    def __init__(
        self,
        name: str = "fake",
        infos: Sequence[ModelInfo] = (FAKE_MODEL,),
        *,
        otherwise: Reply | Callable[[FakeCall], Reply] | None = None,
        unlisted: bool = True,
    ) -> None:
        self.name = name
        self.infos = infos
        self.otherwise = otherwise
        self.unlisted = unlisted
        self.asked: list[FakeCall] = []
        self.built: list[tuple[str, Mapping[str, Any]]] = []
        self.running = 0
        self.cancelled = 0
        self.closed = False
        self._queue: deque[Reply] = deque()

    def enqueue(self, *replies: Reply) -> None:
        """Append to what will be replied: texts, exceptions to raise, or a `FakeReply`."""
        self._queue.extend(replies)

    @property
    def waiting(self) -> int:
        """Replies that no call has taken yet."""
        return len(self._queue)

    def next_reply(self, call: FakeCall) -> FakeReply:
        """Note the call and take the reply to it; used by the chat model."""
        self.asked.append(call)
        if self._queue:
            reply = self._queue.popleft()
        elif self.otherwise is None:
            raise AssertionError(f"call {len(self.asked)} of {self.name}:{call.model}: no reply is queued")
        else:
            reply = self.otherwise(call) if callable(self.otherwise) else self.otherwise
        if isinstance(reply, FakeReply):
            return reply
        return FakeReply(error=reply) if isinstance(reply, Exception) else FakeReply(text=reply)

    # --- the provider's contract

    def models(self) -> Sequence[ModelInfo]:
        return self.infos

    def chat_model(self, model: str, parameters: Mapping[str, Any]) -> BaseChatModel:
        if not self.unlisted and model not in [info.id for info in self.infos]:
            raise UnknownModelError(f"the provider {self.name!r} has no model {model[:100]!r}")
        from tilores_core.testing.fake_chat_model import FakeChatModel  # here: it imports LangChain

        self.built.append((model, dict(parameters)))
        return FakeChatModel(provider=self, model=model, parameters=dict(parameters))

    def map_error(self, error: Exception) -> Exception:
        if isinstance(error, TiloresError | AssertionError):
            return error
        return ProviderError(f"the model failed: {type(error).__name__}", provider=self.name)

    async def aclose(self) -> None:
        self.closed = True
