"""A chat request after decoding, whichever protocol it came by, its limits, and those decoded before."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from msgspec import Struct, field

from tilores_core.chat.turn_context import KeyMemo
from tilores_core.contracts import Message
from tilores_core.errors import InvalidRequestError
from tilores_core.settings import ChatTable

T = TypeVar("T")

_MOST = 512
_LONGEST_BODY = 16 * 1024  # so that all together are at most 8 MiB


class ChatRequest(Struct, kw_only=True):
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
    """Decoded requests by what they came in, least recently used out first. A caller must not change one.

    A request that is repeated mostly comes in the same bytes; decoding them again would cost a fifth of a cached
    answer. Only those that had a stored answer are kept: most of the others never come again. A key is the body and
    the header values that decoding depends on, besides what never changes.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[bytes | None, ...], T] = OrderedDict()

    def get(self, key: tuple[bytes | None, ...]) -> T | None:
        """The decoded request, None where it is not kept."""
        decoded = self._kept.get(key)
        if decoded is not None:
            self._kept.move_to_end(key)
        return decoded

    def keep(self, key: tuple[bytes | None, ...], decoded: T, tier: str) -> None:
        """Keep a request that `get` did not have, unless it is large. `tier`: that of its answer."""
        if tier not in ("", "miss") and len(key[0] or b"") <= _LONGEST_BODY:
            self._kept[key] = decoded
            if len(self._kept) > _MOST:
                self._kept.popitem(last=False)
