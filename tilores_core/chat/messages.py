"""A conversation's messages: what they say, and how a model gets them."""

from __future__ import annotations

from collections.abc import Sequence

from tilores_core.contracts import Message


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

    The results of tools follow the message that called them, in the order of its calls: some providers pair them by
    place, not by id.
    """
    first: Message = {"role": "system", "content": system}
    sent, added, called = [first], [], False
    for message in messages:
        if message["role"] == "system":
            added.append(text_of(message))
        else:
            sent.append(message)
            called = called or "tool_calls" in message
    if extra := "\n".join(filter(None, added)):
        first["content"] = f"{system}\n\nThe application adds:\n{extra}"
    if called:
        _pair_results(sent)
    return sent


def _pair_results(messages: list[Message]) -> None:
    for at, message in enumerate(messages):
        if not (calls := message.get("tool_calls")):
            continue
        end = at + 1
        while end < len(messages) and messages[end]["role"] == "tool":
            end += 1
        places = {call.get("id"): place for place, call in enumerate(calls)}
        messages[at + 1 : end] = sorted(
            messages[at + 1 : end], key=lambda result: places.get(result.get("tool_call_id"), len(places))
        )
