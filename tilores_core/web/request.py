"""A chat request after decoding, whichever protocol it came by, its limits, and those decoded before."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from tilores_core.chat.turn_context import KeyMemo
from tilores_core.contracts import Message
from tilores_core.errors import InvalidRequestError
from tilores_core.settings import ChatTable

T = TypeVar("T")

_MOST = 512
_LONGEST_BODY = 16 * 1024  # so that all together are at most 8 MiB


# Not frozen: one is made for every request, cached ones too, and freezing would double what that costs.
@dataclass(slots=True, kw_only=True)
class ChatRequest:
    """One question. Field meanings are those of `Turn`; `run_id` is a client's wish for LangServe's run id."""

    messages: tuple[Message, ...]
    model: str | None = None
    customer_id: str | None = None
    session_id: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    max_age: float | None = None
    no_cache: bool = False
    no_store: bool = False
    run_id: str | None = None
    memo: KeyMemo = field(default_factory=KeyMemo)


def check_limits(messages: tuple[Message, ...], limits: ChatTable, param: str) -> tuple[Message, ...]:
    """The messages. Where the user said nothing and the last one is the system's, it is the question, as OpenAI's
    models take it.

    Raises `InvalidRequestError` when there are too many messages, too many characters, or no user text.
    """
    if len(messages) > limits.max_messages:
        raise InvalidRequestError(
            f"{len(messages)} messages, at most {limits.max_messages} are allowed",
            param=param,
            fix="send fewer messages",
        )
    characters = 0
    asked = False
    for message in messages:
        content = message.get("content")
        if isinstance(content, str):
            characters += len(content)
            asked = asked or (message["role"] == "user" and not content.isspace() and content != "")
        elif content:
            for part in content:
                text = part.get("text")
                if isinstance(text, str):
                    characters += len(text)
                asked = asked or message["role"] == "user"
    if characters > limits.max_characters:
        raise InvalidRequestError(
            f"{characters} characters, at most {limits.max_characters} are allowed",
            param=param,
            fix="shorten the messages",
        )
    if not asked and messages and messages[-1]["role"] == "system":  # an application, of a caller who is silent
        last = messages[-1]["content"]
        if last and (not isinstance(last, str) or last.strip()):
            return (*messages[:-1], {**messages[-1], "role": "user"})
    if not asked:
        raise InvalidRequestError("there is no user message with text", param=param, fix="add a user message")
    return messages


class DecodeCache(Generic[T]):
    """Decoded requests by the bytes they came in, least recently used out first. A caller must not change one.

    A request that is repeated mostly comes in the same bytes; decoding them again would cost a fifth of a cached
    answer. `decode` depends on the body and on the header values given with it, and on nothing else that changes.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[bytes | None, ...], T] = OrderedDict()

    def get(self, body: bytes, headers: tuple[bytes | None, ...], decode: Callable[[], T]) -> T:
        """The decoded request. Raises what `decode` raises, which is not remembered."""
        if len(body) > _LONGEST_BODY:
            return decode()
        key = (body, *headers)
        kept = self._kept
        decoded = kept.get(key)
        if decoded is None:
            decoded = kept[key] = decode()
            if len(kept) > _MOST:
                kept.popitem(last=False)
        else:
            kept.move_to_end(key)
        return decoded
