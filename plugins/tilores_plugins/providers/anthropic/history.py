"""A conversation as Anthropic takes it, and the thoughts that must come back with a tool call. Imports LangChain."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

_BEGINNING: Final = "(The conversation begins.)"
_GO_ON: Final = "(Please continue.)"
_NO_ID: Final = re.compile(r"[^a-zA-Z0-9_-]")
# Those before 4.6 take the beginning of their answer as the last message.
_BEGUN: Final = re.compile(r"claude-(?:3|\w+-4(?:-[0-5])?(?:$|-\d{8}))")
_BLANK: Final = "(nothing)"
_THOUGHTS: Final = frozenset({"thinking", "redacted_thinking"})
_PIECES: Final = ("thinking", "signature", "data")


def as_it_takes_them(messages: Sequence[BaseMessage], model: str) -> list[BaseMessage]:
    """The first message is the user's, and the last one where the `model` wants that; none is blank; ids of calls
    are Anthropic's kind. Nothing that says something is left out."""
    sent: list[BaseMessage] = []
    for message in messages:
        if isinstance(message, AIMessage):
            message = _with_thoughts(message)
            if any(_NO_ID.search(call["id"] or "") for call in message.tool_calls):
                calls = [{**call, "id": _NO_ID.sub("_", call["id"] or "")} for call in message.tool_calls]
                message = message.model_copy(update={"tool_calls": calls})
        elif isinstance(message, ToolMessage) and _NO_ID.search(message.tool_call_id):
            message = message.model_copy(update={"tool_call_id": _NO_ID.sub("_", message.tool_call_id)})
        if message.type in ("human", "ai") and _is_blank(message.content):
            if isinstance(message, AIMessage) and not message.tool_calls:
                continue
            message = message.model_copy(update={"content": "" if message.type == "ai" else _BLANK})
        sent.append(message)
    first = next((at for at, message in enumerate(sent) if message.type != "system"), len(sent))
    if first == len(sent) or sent[first].type == "ai":
        sent.insert(first, HumanMessage(_BEGINNING))
    if sent[-1].type == "ai" and not _BEGUN.match(model):
        sent.append(HumanMessage(_GO_ON))
    return sent


def thoughts_in(content: Any) -> list[dict[str, Any]]:
    """The blocks of thoughts in a message's content, as Anthropic wants them again."""
    blocks = content if isinstance(content, list) else ()
    return [
        {"type": block["type"], **{key: block[key] for key in _PIECES if key in block}}
        for block in blocks
        if isinstance(block, dict) and block.get("type") in _THOUGHTS
    ]


def join_thoughts(known: list[dict[str, Any]], content: Any) -> None:
    """Add what a chunk of a stream holds of thoughts: blocks of one index are pieces of one."""
    for block in content if isinstance(content, list) else ():
        if not isinstance(block, dict) or block.get("type") not in _THOUGHTS:
            continue
        if not known or known[-1]["index"] != block.get("index"):
            known.append({"type": block["type"], "index": block.get("index")})
        for key in _PIECES:
            if piece := block.get(key):
                known[-1][key] = known[-1].get(key, "") + piece


def keep_thoughts(message: AIMessage, call_id: str | None, thoughts: list[dict[str, Any]]) -> None:
    """Let them travel with the tool call that they led to."""
    plain = [{key: value for key, value in block.items() if key != "index"} for block in thoughts]
    message.additional_kwargs["extra_content"] = {call_id: {"anthropic": {"thoughts": plain}}}


def _with_thoughts(message: AIMessage) -> AIMessage:
    extra = message.additional_kwargs.get("extra_content")
    if not extra or thoughts_in(message.content):
        return message
    kept = [
        block
        for own in extra.values()
        if isinstance(own, dict) and isinstance(own.get("anthropic"), dict)
        for block in thoughts_in(own["anthropic"].get("thoughts"))
    ]
    if not kept:
        return message
    content = message.content
    said = content if isinstance(content, list) else [{"type": "text", "text": content}] if content.strip() else []
    return message.model_copy(update={"content": [*kept, *said]})


def _is_blank(content: Any) -> bool:
    if isinstance(content, str):
        return not content.strip()
    return all(
        isinstance(part, dict) and part.get("type") == "text" and not str(part.get("text") or "").strip()
        for part in content
    )
