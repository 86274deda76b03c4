"""A conversation's messages: what they say, and how a model gets them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from tilores_core.contracts import Message

_NO_RESULT: Final = "(no result)"


def text_of(message: Message) -> str:
    """The text of a message, its text parts joined."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = (part.get("text") for part in content or () if part.get("type", "text") in ("text", "input_text"))
    return "\n".join(part for part in parts if isinstance(part, str))


def last_question(messages: Sequence[Message]) -> str:
    """The text of the user's latest message, empty when there is none."""
    for message in reversed(messages):
        if message["role"] == "user":
            return text_of(message)
    return ""


def assistant_texts(messages: Sequence[Message]) -> list[str]:
    """What the assistant has said before."""
    return [text_of(message) for message in messages if message["role"] == "assistant"]


def for_model(system: str, messages: Sequence[Message]) -> list[Message]:
    """One system message (some providers take no more), then the conversation.

    Behind each call of a tool stands its result, in the order of the calls: some providers pair them by place, and
    none takes a call without a result, which a caller who interrupts leaves behind, or the reverse.
    """
    first: Message = {"role": "system", "content": system}
    sent, added, called = [first], [], False
    for message in messages:
        if message["role"] == "system":
            added.append(text_of(message))
        else:
            sent.append(message)
            called = called or "tool_calls" in message or message["role"] == "tool"
    if extra := "\n".join(filter(None, added)):
        first["content"] = f"{system}\n\nThe application adds:\n{extra}"
    return _pair_results(sent) if called else sent


def _pair_results(messages: Sequence[Message]) -> list[Message]:
    paired: list[Message] = []
    places: dict[Any, list[int]] = {}  # of a call's result, by the call's id, which may stand there twice
    sent: set[Any] = set()
    for message in messages:
        call_id = message.get("tool_call_id", "")
        if message["role"] != "tool":
            given = message.get("tool_calls", ())
            calls = [_with_own_id(call, sent) for call in given]
            paired.append({**message, "tool_calls": calls} if calls else message)
            places |= {call.get("id"): [] for call in given}
            for call, written in zip(given, calls, strict=True):
                places[call.get("id")].append(len(paired))
                paired.append({"role": "tool", "content": _NO_RESULT, "tool_call_id": written.get("id", "")})
        elif call_id in places:
            own = places[call_id]
            place = own.pop(0) if len(own) > 1 else own[0]
            paired[place] = {**message, "tool_call_id": paired[place]["tool_call_id"]}
        else:
            sent.add(call_id)
            places[call_id] = [len(paired) + 1]
            function = {"name": message.get("name") or "unknown_tool", "arguments": "{}"}
            call = {"id": call_id, "type": "function", "function": function}
            paired += [{"role": "assistant", "content": None, "tool_calls": [call]}, message]
    return paired


def _with_own_id(call: dict[str, Any], sent: set[Any]) -> dict[str, Any]:
    """The call with an id of its own: some providers count from 0 in each answer, others take no id twice."""
    own, number = call.get("id"), 2
    while own in sent:
        own, number = f"{call.get('id')}_{number}", number + 1
    sent.add(own)
    return call if own == call.get("id") else {**call, "id": own}
