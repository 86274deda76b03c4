"""What the fake upstream says when no test scripted it: short, the same each time, and what the request asked for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

from tilores_core.testing.fake_upstream.values import Asked, Finish, Reply, Said, Tool, ToolCall, pieces_of

_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_QUOTED = 200  # characters of a question that an answer repeats


def answer(asked: Asked, reply: Reply) -> Said:
    """The reply's own words, or else what fits the request, held to the request's limits."""
    calls = reply.tool_calls
    if reply.pieces is not None:
        pieces = reply.pieces
    elif reply.text is not None:
        pieces = pieces_of(reply.text)
    elif calls:
        pieces = ()
    else:
        calls = _calls(asked)
        pieces = () if calls else pieces_of(_text(asked))
    pieces, stopped_by = _stopped(pieces, asked.stop)
    calls = tuple(_number(call, number) for number, call in enumerate(calls))
    finish: Finish = "tool_calls" if calls else "stop"
    if asked.max_tokens is not None and len(pieces) > asked.max_tokens:
        pieces, finish = pieces[: asked.max_tokens], "length"
    spent = len(pieces) + len(pieces_of(reply.reasoning)) + sum(1 + len(call.arguments) for call in calls)
    return Said(
        pieces=pieces,
        tool_calls=calls,
        reasoning=reply.reasoning,
        finish=reply.finish or finish,
        input_tokens=asked.words if reply.input_tokens is None else reply.input_tokens,
        output_tokens=max(1, spent) if reply.output_tokens is None else reply.output_tokens,
        stopped_by=stopped_by,
    )


def _text(asked: Asked) -> str:
    if asked.schema is not None:
        fallback = {"answer": asked.question[:_QUOTED]}
        made = _value(asked.schema, asked.question) if asked.schema.get("properties") else fallback
        return orjson.dumps(made).decode()
    if asked.tool_result is not None:
        return f"The tool said: {asked.tool_result[:_QUOTED]} That is all I know."
    seen = f" I was shown {asked.images} picture(s)." if asked.images else ""
    said = f"You said: {asked.question[:_QUOTED]}"
    return f"{said} I am a fake upstream for {asked.model}.{seen} I hold no opinion of it."


def _stopped(pieces: tuple[str, ...], stop: tuple[str, ...]) -> tuple[tuple[str, ...], str | None]:
    text = "".join(pieces)
    ends = [(place, word) for word in stop if word and (place := text.find(word)) >= 0]
    if not ends:
        return pieces, None
    kept: list[str] = []
    room, word = min(ends)
    for piece in pieces:
        if room <= 0:
            break
        kept.append(piece[:room])
        room -= len(piece)
    return tuple(kept), word


# --- tools


def _calls(asked: Asked) -> tuple[ToolCall, ...]:
    tool = _choose_tool(asked)
    return (
        () if tool is None else (ToolCall(tool.name, _value({"type": "object", **tool.parameters}, asked.question)),)
    )


def _choose_tool(asked: Asked) -> Tool | None:
    """The tool that must be called, or that the question asks for by the words of its name."""
    if not asked.tools or asked.choice == "none" or asked.tool_result is not None:
        return None
    if asked.choice == "any":
        return asked.tools[0]
    if asked.choice is not None:
        return next((tool for tool in asked.tools if tool.name == asked.choice), None)
    said = asked.question.lower()
    for tool in asked.tools:
        if all(word in said for word in re.split(r"[_\-.]", tool.name.lower())):
            return tool
    return None


def _number(call: ToolCall, number: int) -> ToolCall:
    return call if call.id else ToolCall(call.name, call.arguments, id=f"call_fake{number:02d}")


def _value(schema: Mapping[str, Any], text: str) -> Any:
    """A value of this JSON Schema, taken from the text where it can be."""
    if schema.get("enum"):
        return schema["enum"][0]
    kind = str(schema.get("type", "string")).lower()
    if kind == "object":
        properties: Mapping[str, Any] = schema.get("properties") or {}
        wanted = schema.get("required") or list(properties)
        return {name: _name_value(name, properties[name], text) for name in wanted if name in properties}
    if kind == "array":
        return []
    if kind == "boolean":
        return True
    if kind in ("integer", "number"):
        found = _NUMBER.search(text)
        number = float(found.group()) if found else 0.0
        return int(number) if kind == "integer" else number
    return text[:_QUOTED]


def _name_value(name: str, schema: Mapping[str, Any], text: str) -> Any:
    if "mail" in name and (found := _EMAIL.search(text)):
        return found.group()
    return _value(schema, text)
