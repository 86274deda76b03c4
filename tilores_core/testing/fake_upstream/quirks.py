"""What providers send beside their protocol: an answer put on the wire as some of them really do it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import orjson

from tilores_core.testing.fake_upstream.dialects.base import Stream, dump
from tilores_core.testing.fake_upstream.values import Asked, Quirk, Reply, Said

_BLOCKS: Final = "its blocks are told apart by their index alone, and its SDK joins them by it"
_LINES: Final = "it streams lines of JSON, not server-sent events"
_WHOLE: Final = "its tool calls come whole, and have no index"
_OBJECT: Final = "its arguments are an object anyway"
_ONCE: Final = "it counts the tokens in the last line alone"
CANNOT: Final[Mapping[str, Mapping[Quirk, str]]] = {
    "openai": {},
    "anthropic": {"no-index": _BLOCKS, "same-index": _BLOCKS},
    "google": {"no-index": _WHOLE, "same-index": _WHOLE, "object-arguments": _OBJECT},
    "ollama": {"comments": _LINES, "lines": _LINES, "usage": _ONCE, "object-arguments": _OBJECT},
}
"""What a protocol has no place for, by the dialect's `protocol`, and why."""

_COMMENTS: Final = (b": waiting\n\n", b"retry: 3000\n\n", b"id: 7\n\n", b": one\r\n: two\r\n\r\n")
_FILTER: Final = {"content_filter_results": {"hate": {"filtered": False, "severity": "safe"}}}
_IDLE: Final[Mapping[str, Sequence[tuple[str, Mapping[str, Any]]]]] = {
    "openai": (
        ("", {"choices": [], "prompt_filter_results": [{"prompt_index": 0, **_FILTER}]}),
        ("", {"choices": [{"index": 0, "finish_reason": None, **_FILTER}]}),
        ("", {"choices": [{"index": 0, "delta": {"role": "assistant", "content": None}, "finish_reason": None}]}),
        ("", {"choices": [{"index": 0, "delta": {}, "finish_reason": None}], "usage": None}),
    ),
    "anthropic": (("ping", {"type": "ping"}), ("vendor_note", {"type": "vendor_note", "note": "still here"})),
    "google": (
        ("", {"responseId": "fake00000000000000"}),
        ("", {"candidates": [{"index": 0, "content": {"role": "model"}}]}),
        ("", {"candidates": [{"index": 0}]}),
    ),
    "ollama": (("", {"message": {"role": "assistant", "content": ""}, "done": False}),),
}
"""Events that carry nothing for the caller."""


def spoil(protocol: str, reply: Reply, stream: Stream, asked: Asked, said: Said) -> Stream:
    """The stream with the reply's quirks."""
    frame = _lines if protocol == "ollama" else _events
    parts = {
        name: [event for raw in getattr(stream, name) for event in _read(raw)]
        for name in ("head", "pieces", "calls", "finish", "tail")
    }
    calls = _without_pieces(protocol, parts["calls"], reply.quirks)
    for _, event in calls:
        _alter_calls(protocol, event, reply.quirks)
    parts["calls"] = calls
    if "usage" in reply.quirks and protocol == "openai":
        for name in ("pieces", "calls", "finish"):
            for _, event in parts[name]:
                event["usage"] = _totals(said)
    if "usage" in reply.quirks and protocol == "anthropic":
        delta = {"type": "message_delta", "delta": {}, "usage": {"output_tokens": said.output_tokens}}
        parts["pieces"] = [*parts["pieces"], ("message_delta", delta)]
    if reply.reason is not None:
        for _, event in parts["finish"]:
            _end(protocol, event, reply.reason)
    if "idle" in reply.quirks:
        idle = [(kind, {"model": asked.model, **event}) for kind, event in _IDLE[protocol]]
        head, pieces = parts["head"], parts["pieces"]
        before = idle if protocol != "anthropic" else ()
        parts["head"], parts["pieces"] = [*before, *head, *idle], [both for one in pieces for both in (one, *idle)]
    made = {name: list(frame(events, reply.quirks)) for name, events in parts.items()}
    if "lines" in reply.quirks:
        made["mark"] = [raw.replace(b"\n", b"\r\n") for raw in stream.mark]
    return replace(stream, **made)  # type: ignore[arg-type]


def spoil_whole(protocol: str, reply: Reply, body: Mapping[str, Any]) -> Mapping[str, Any]:
    """The reply in one piece with its quirks."""
    made = _parse(dump(body))
    _alter_calls(protocol, made, reply.quirks)
    if reply.reason is not None:
        _end(protocol, made, reply.reason)
    return made


# --- events --------------------------------------------------------------------------------------------------

_Event = tuple[str, dict[str, Any]]


def _read(raw: bytes) -> Iterator[_Event]:
    for event in raw.split(b"\n\n") if raw[:1] != b"{" else raw.splitlines():
        name, _, rest = event.partition(b"\n") if event.startswith(b"event: ") else (b"", b"", event)
        if rest:
            yield name.removeprefix(b"event: ").decode(), _parse(rest.removeprefix(b"data: "))


def _parse(data: bytes) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(data)  # not by orjson, which takes no half of a surrogate pair
    return parsed


def _events(events: Sequence[_Event], quirks: Sequence[Quirk]) -> Iterator[bytes]:
    end = "\r\n" if "lines" in quirks else "\n"
    for number, (name, event) in enumerate(events):
        kind = f"event: {name}{end}" if name else ""
        text = (
            json.dumps(event, indent=1).replace("\n", f"{end}data: ") if "lines" in quirks else dump(event).decode()
        )
        made = f"{kind}data: {text}{end}{end}".encode()
        yield _COMMENTS[number % len(_COMMENTS)] + made if "comments" in quirks else made


def _lines(events: Sequence[_Event], quirks: Sequence[Quirk]) -> Iterator[bytes]:
    for _, event in events:
        yield dump(event) + b"\n"


def _totals(said: Said) -> dict[str, int]:
    counted = {"prompt_tokens": said.input_tokens, "completion_tokens": said.output_tokens}
    return {**counted, "total_tokens": said.total_tokens}


def _end(protocol: str, event: dict[str, Any], reason: str) -> None:
    match protocol:
        case "anthropic":
            for holder in (event, event.get("delta")):
                if isinstance(holder, dict) and "stop_reason" in holder:
                    holder["stop_reason"] = reason
        case "google":
            event["candidates"][0]["finishReason"] = reason
        case "ollama":
            event["done_reason"] = reason
        case _:
            event["choices"][0]["finish_reason"] = reason


# --- tool calls ----------------------------------------------------------------------------------------------


def _calls_in(protocol: str, event: Mapping[str, Any]) -> list[dict[str, Any]]:
    match protocol:
        case "anthropic":
            blocks = event.get("content") or [event.get("content_block") or {}]
            return [block for block in blocks if block.get("type") == "tool_use"]
        case "google":
            parts = event["candidates"][0]["content"]["parts"]
            return [part["functionCall"] for part in parts if "functionCall" in part]
        case "ollama":
            return list(event["message"].get("tool_calls") or ())
        case _:
            choice = event["choices"][0]
            return list((choice.get("delta") or choice.get("message") or {}).get("tool_calls") or ())


_KEYS: Final = {"openai": "arguments", "anthropic": "input", "google": "args", "ollama": "arguments"}


def _alter_calls(protocol: str, event: dict[str, Any], quirks: Sequence[Quirk]) -> None:
    for call in _calls_in(protocol, event):
        function = call.get("function", call)
        if "no-id" in quirks:
            call.pop("id", None)
        if "no-index" in quirks:
            call.pop("index", None)
            function.pop("index", None)
        if "same-index" in quirks:
            holder = call if protocol == "openai" else function
            holder["index"] = 0
        if "no-arguments" in quirks:
            function.pop(_KEYS[protocol], None)
        elif "object-arguments" in quirks and isinstance(function.get("arguments"), str):
            function["arguments"] = orjson.loads(function["arguments"])


def _without_pieces(protocol: str, events: list[_Event], quirks: Sequence[Quirk]) -> list[_Event]:
    """The calls whole, their pieces in the first event of each, where a quirk needs it."""
    if protocol not in ("openai", "anthropic") or not {"object-arguments", "no-arguments"} & set(quirks):
        return events
    kept: list[_Event] = []
    for name, event in events:
        calls = _calls_in(protocol, event)
        delta = event.get("delta") or {}
        if protocol == "anthropic" and delta.get("type") == "input_json_delta":
            block = next(one["content_block"] for _, one in reversed(kept) if "content_block" in one)
            block["written"] = block.get("written", "") + delta["partial_json"]
        elif protocol == "openai" and calls and "name" not in calls[0]["function"]:
            function = _calls_in(protocol, kept[-1][1])[0]["function"]
            function["arguments"] += calls[0]["function"]["arguments"]
        else:
            kept.append((name, event))
    for _, event in kept:
        block = event.get("content_block") or {}
        if written := block.pop("written", ""):
            block["input"] = orjson.loads(written)
    return kept
