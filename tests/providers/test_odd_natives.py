"""Answers in the protocols of Anthropic, Google and Ollama as servers have really sent them, streamed, as bytes."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final

import pytest
from pydantic import SecretStr

from tests.providers.asked import HELLO
from tests.providers.odd_upstreams import FAILS, OK, reply
from tilores_core import LLMProvider
from tilores_core.chat.models import Models
from tilores_core.chat.routing.model_call import check_answer
from tilores_core.chat.routing.verdict import judge
from tilores_core.llm import Catalogue, KeyedProviderSettings, ModelSettings, load_catalogue
from tilores_plugins.providers.anthropic.provider import AnthropicProvider
from tilores_plugins.providers.anthropic.settings import AnthropicSettings
from tilores_plugins.providers.google.provider import GoogleProvider
from tilores_plugins.providers.ollama.provider import OllamaProvider
from tilores_plugins.providers.ollama.settings import OllamaSettings

TOOL: Final = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
REFUSED: Final = "refused"
CALL: Final = [["f", {"a": 1}]]
CALLS: Final = [*CALL, ["f", {"a": 2}]]


# --- Anthropic


def claude(
    *blocks: list[dict[str, Any]], reason: str | None = "end_turn", usage: Any = None, stop: bool = True
) -> bytes:
    message = {"id": "m", "type": "message", "role": "assistant", "model": "c", "content": [], "usage": usage}
    events: list[dict[str, Any]] = [{"type": "message_start", "message": message}]
    for index, (start, *deltas) in enumerate(blocks):
        events.append({"type": "content_block_start", "index": index, "content_block": start})
        events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        events.append({"type": "content_block_stop", "index": index})
    if stop:
        events.append({"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {"output_tokens": 4}})
    return reply("".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events))


def said(text: str) -> list[dict[str, Any]]:
    return [{"type": "text", "text": ""}, {"type": "text_delta", "text": text}]


def used(number: int, **more: Any) -> list[dict[str, Any]]:
    arguments = {"type": "input_json_delta", "partial_json": json.dumps({"a": number})}
    return [{"type": "tool_use", "id": f"t{number}", "name": "f", "input": {}, **more}, arguments]


def without(field: bytes, sent: bytes) -> bytes:
    """The reply without its lines of a field, or without blank lines, and without a length."""
    head, _, body = sent.partition(b"\r\n\r\n")
    lines = [line for line in body.split(b"\n") if line.partition(b":")[0] != field]
    return b"\r\n".join(head.split(b"\r\n")[:-1]) + b"\r\n\r\n" + b"\n".join(lines) + b"\n"


ANTHROPIC: dict[str, tuple[bytes, Any]] = {
    "no usage": (claude(said(OK)), OK),
    "no end of the message": (claude(said("It is "), said("forty.")), OK),
    "thoughts that are not shown": (claude([{"type": "redacted_thinking", "data": "x"}], said(OK)), OK),
    "unknown block": (claude([{"type": "brand_new", "x": 1}, {"type": "newer", "y": 2}], said(OK)), OK),
    "tool of the server": (claude([{"type": "server_tool_use", "id": "s", "name": "g", "input": {}}], said(OK)), OK),
    "turn that pauses": (claude(said("It is "), reason="pause_turn"), FAILS),
    "refusal in the middle": (claude(said("It is "), reason="refusal"), "It is "),
    "cut off": (claude(said("It is forty."), stop=False), FAILS),
    "two calls": (claude(used(1, caller={"type": "direct"}), used(2), reason="tool_use"), CALLS),
    "nothing": (claude(), FAILS),
    "text where it begins, and once more": (
        claude(
            [
                {"type": "text", "text": "It "},
                *({"type": "text_delta", "text": text} for text in ("It is ", "forty.")),
            ]
        ),
        OK,
    ),
    "input of a call, and once more": (claude(used(1, input={"a": 1}), reason="tool_use"), CALL),
    "edits of the context": (
        without(b":", claude(said(OK))).replace(
            b'"usage": {"output', b'"context_management": {"applied_edits": []}, "usage": {"output'
        ),
        OK,
    ),
    "indices with a gap": (
        without(b":", claude(said("It is "), said("forty."))).replace(b'"index": 1', b'"index": 3'),
        OK,
    ),
    "no lines with the type": (without(b"event", claude(said("It is "), said("forty."))), OK),
    "no lines with the type, an error": (
        without(b"event", claude(said("It is "), stop=False)) + b'data: {"type":"error","error":{"type":"x"}}\n\n',
        FAILS,
    ),
    "no blank lines": (without(b"", claude(said("It is "), said("forty."))), OK),
    "neither": (without(b"", without(b"event", claude(used(1), used(2), reason="tool_use"))), CALLS),
    "another protocol's mark of the end": (without(b":", claude(said(OK))) + b"data: [DONE]\n\n", OK),
    "page of a proxy": (reply(b"<html>plain HTTP to an HTTPS port</html>", "text/html", 400), FAILS),
    "text where it begins": (
        claude([{"type": "text", "text": "It is "}, {"type": "text_delta", "text": "forty."}]),
        OK,
    ),
}


# --- Google


def gemini(*chunks: list[dict[str, Any]] | dict[str, Any], reason: str | None = "STOP") -> bytes:
    events: list[Any] = [
        {"candidates": [{"content": {"role": "model", "parts": chunk}}]} if isinstance(chunk, list) else chunk
        for chunk in chunks
    ]
    if reason:
        events.append({"candidates": [{"finishReason": reason}], "usageMetadata": {"promptTokenCount": 9}})
    return reply("".join(f"data: {json.dumps(event)}\r\n\r\n" for event in events))


def called(number: int, **more: Any) -> dict[str, Any]:
    return {"functionCall": {"name": "f", "args": {"a": number}, **more}}


GOOGLE: dict[str, tuple[bytes, Any]] = {
    "thoughts": (
        gemini([{"text": "hm", "thought": True}], [{"text": OK}, {"text": "", "thoughtSignature": "YQ=="}]),
        OK,
    ),
    "thoughts alone": (gemini([{"text": "hm", "thought": True}]), FAILS),
    "prompt refused, for a reason that is new": (
        gemini({"promptFeedback": {"blockReason": "NEW"}}, reason=None),
        REFUSED,
    ),
    "call that was malformed": (gemini([], reason="MALFORMED_FUNCTION_CALL"), FAILS),
    "all tokens went into thoughts": (
        gemini({"candidates": [{"content": {"role": "model"}}]}, reason="MAX_TOKENS"),
        FAILS,
    ),
    "unknown reason": (gemini([{"text": OK}], reason="NEW"), OK),
    "calls without ids": (gemini([called(1)], [called(2)]), CALLS),
    "the same call twice": (gemini([called(1), called(1)]), CALL * 2),
    "call without arguments": (gemini([{"functionCall": {"name": "f"}}]), [["f", {}]]),
    "name in a namespace": (gemini([called(1, name="default_api.f")]), CALL),
    "usage behind the end": (
        gemini([{"text": OK}], {"candidates": [{"finishReason": "STOP"}]}, {"usageMetadata": {}}, reason=None),
        OK,
    ),
    "error in the middle": (gemini([{"text": "It is "}], {"error": {"code": 503}}, reason=None), FAILS),
    "country that is not served": (
        reply({"error": {"message": "User location is not supported for the API use."}}, "application/json", 400),
        FAILS,
    ),
}


# --- Ollama


def ollama(*lines: Any, sep: str = "\n", **last: Any) -> bytes:
    end = {"model": "q", "message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "stop", **last}
    parts = [{"model": "q", "message": {"role": "assistant", "content": "", **line}, "done": False} for line in lines]
    return reply(sep.join(json.dumps(part, ensure_ascii=False) for part in (*parts, end)), "application/x-ndjson")


def calling(arguments: Any) -> dict[str, Any]:
    return {"content": None, "tool_calls": [{"function": {"name": "f", "arguments": arguments}}]}


OLLAMA: dict[str, tuple[bytes, Any]] = {
    "no reason for the end": (ollama({"content": OK}, done_reason=None), OK),
    "model was only loaded": (ollama(done_reason="load"), FAILS),
    "no message at the end": (ollama({"content": OK}, message=None), OK),
    "no content": (ollama({"content": None, "thinking": "hm"}, {"content": OK, "tool_calls": None}), OK),
    "arguments as text": (ollama(calling('{"a": 1}')), CALL),
    "no arguments": (ollama(calling(None)), [["f", {}]]),
    "two calls": (ollama(calling({"a": 1}), calling({"a": 2})), CALLS),
    "other ends of lines in a text": (ollama({"content": "It\u2028is\x85forty."}), "It\u2028is\x85forty."),
    "windows' ends of lines": (ollama({"content": OK}, sep="\r\n"), OK),
    "line cut off": (ollama({"content": "It is "})[:-20], FAILS),
    "error in the middle": (reply('{"message":{"content":"It is "}}\n{"error":"unexpected EOF"}\n'), FAILS),
}


async def outcome(kind: str, provider: LLMProvider, model: str) -> Any:
    models = Models({kind: provider}, default=f"{kind}:{model}")
    try:
        answer = await models.ask(models.default, HELLO, {"tools": [TOOL]}, stream=True)
        check_answer(answer, {}, provider=kind)
    except Exception as error:
        verdict = judge(provider.map_error(error), timed_out=False, is_fallback=False)
        return FAILS if verdict.elsewhere else REFUSED
    assert len({call["id"] for call in answer.tool_calls}) == len(answer.tool_calls)
    functions = [call["function"] for call in answer.tool_calls]
    return [[one["name"], json.loads(one["arguments"])] for one in functions] or answer.text


@pytest.mark.filterwarnings("ignore:.* is not a valid:UserWarning")  # Google's SDK, of a word that is new to it
async def test_odd_answer_is_read_or_fails_over() -> None:
    now = b""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        headers = await reader.readuntil(b"\r\n\r\n")
        size = next(line for line in headers.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(int(size.split(b":")[1]))
        writer.write(now)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    key, able = SecretStr("k"), ModelSettings(context_window=8192, tools=True)
    asked: list[tuple[str, Any, str, dict[str, tuple[bytes, Any]]]] = [
        (
            "anthropic",
            AnthropicProvider(
                AnthropicSettings(base_url=url, api_key=key), load_catalogue("tilores_plugins.providers.anthropic")
            ),
            "claude-sonnet-4-6",
            ANTHROPIC,
        ),
        (
            "google",
            GoogleProvider(
                KeyedProviderSettings(base_url=url, api_key=key), load_catalogue("tilores_plugins.providers.google")
            ),
            "gemini-2.5-flash",
            GOOGLE,
        ),
        ("ollama", OllamaProvider(OllamaSettings(base_url=url, models={"q": able}), Catalogue(())), "q", OLLAMA),
    ]
    wrong = {}
    for kind, provider, model, cases in asked:
        for name, (sent, want) in cases.items():
            now = sent
            if (found := await outcome(kind, provider, model)) != want:
                wrong[f"{kind}: {name}"] = found
        await provider.aclose()
    server.close()
    assert not wrong
