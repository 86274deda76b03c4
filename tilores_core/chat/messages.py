"""Reading a conversation's messages."""

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
    return next((text_of(message) for message in reversed(messages) if message["role"] == "user"), "")
