"""Answers as servers have really sent them, as bytes: streamed, whole, and what is to come of them."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import Any, Final, NamedTuple

OK: Final = "It is forty."
FAILS: Final = None
"""The fallback is to be asked."""
ANY: Final = ...
"""It only has to end, in a way that has a place in the protocol."""


class Case(NamedTuple):
    """`want`: the text or the tool calls, or a list of texts of which each would do."""

    streamed: bytes
    whole: bytes | None
    want: Any


CASES: dict[str, Case] = {}


def case(name: str, streamed: bytes, wholly: bytes | None, want: Any = OK) -> None:
    CASES[name] = Case(streamed, wholly, want)


def chunk(text: Any = None, fin: Any = None, **delta: Any) -> dict[str, Any]:
    said = delta if text is None else {"content": text, **delta}
    return {"id": "x", "choices": [{"index": 0, "delta": said, "finish_reason": fin}]}


def whole(content: Any = OK, fin: Any = "stop", **message: Any) -> dict[str, Any]:
    said = {"role": "assistant", "content": content, **message}
    return {"choices": [{"index": 0, "message": said, "finish_reason": fin}], "usage": USED["usage"]}


def sse(*events: Any, done: bool = True, sep: str = "\n\n") -> bytes:
    data = "".join(f"data: {json.dumps(event)}{sep}" for event in events)
    return (data + (f"data: [DONE]{sep}" if done else "")).encode("utf-8", "surrogatepass")


def head(status: int = 200, kind: str = "text/event-stream", length: int | None = None, *more: str) -> bytes:
    lines = [f"HTTP/1.1 {status} X", f"content-type: {kind}", "connection: close", *more]
    if length is not None:
        lines.append(f"content-length: {length}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def reply(body: Any, kind: str = "text/event-stream", status: int = 200, *more: str) -> bytes:
    if isinstance(body, dict):
        body, kind = json.dumps(body).encode(), "application/json"
    elif isinstance(body, str):
        body = body.encode()
    return head(status, kind, len(body), *more) + bytes(body)


def stream(*events: Any, done: bool = True) -> bytes:
    return reply(sse(*events, done=done))


def chunked(body: bytes, size: int = 7) -> bytes:
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


STOP = chunk(fin="stop")
ANSWER = (chunk("It is "), chunk("forty."), STOP)
USED: dict[str, Any] = {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}}
GOOD = stream(*ANSWER, USED)
GOOD_WHOLE = reply(whole())

case("good", GOOD, GOOD_WHOLE)
case("two done", reply(sse(*ANSWER, USED) + b"data: [DONE]\n\n"), GOOD_WHOLE)
case("no done", stream(*ANSWER, USED, done=False), GOOD_WHOLE)
case("text after done", reply(sse(*ANSWER, USED) + sse(chunk(" More."), done=False)), GOOD_WHOLE)
case(
    "finishReason camel",
    stream(chunk("It is forty."), {"choices": [{"index": 0, "delta": {}, "finishReason": "stop"}]}),
    reply({"choices": [{"message": {"content": OK}, "finishReason": "stop"}]}),
)
case("finish as token", stream(chunk("It is forty."), chunk(fin="<|eot_id|>")), reply(whole(fin="<|eot_id|>")))
case("finish in text chunk", stream(chunk("It is "), chunk("forty.", "stop")), GOOD_WHOLE)
case("finish empty string each", stream(chunk("It is ", ""), chunk("forty.", ""), STOP), GOOD_WHOLE)
case(
    "finish number",
    stream(chunk("It is forty."), {"choices": [{"index": 0, "delta": {}, "finish_reason": 0}]}),
    None,
    want=FAILS,
)
case(
    "error_type fields",
    stream(
        chunk("It is "),
        {"choices": None, "error_type": "BadRequestError", "error_message": "context length exceeded"},
    ),
    reply({"choices": None, "error_type": "InternalServerError", "error_message": "boom"}),
    want=FAILS,
)
case(
    "plain text error line",
    reply(sse(chunk("It is "), done=False) + b"upstream error: read ECONNRESET"),
    reply(b"upstream error: read ECONNRESET", "text/plain"),
    want=FAILS,
)
case(
    "detail error 200",
    stream({"detail": "Model is overloaded"}),
    reply({"detail": "Model is overloaded"}),
    want=FAILS,
)
case(
    "code msg error 200",
    stream({"code": 500, "msg": "busy"}),
    reply({"code": 500, "msg": "busy", "data": None}),
    want=FAILS,
)
case(
    "success false",
    stream({"success": False, "message": "no"}),
    reply({"success": False, "message": "no"}),
    want=FAILS,
)
case("error string", stream({"error": "busy"}), reply({"error": "busy"}), want=FAILS)
case("error null beside", stream({**chunk("It is forty."), "error": None}, STOP), reply({**whole(), "error": None}))
case(
    "error false beside", stream({**chunk("It is forty."), "error": False}, STOP), reply({**whole(), "error": False})
)
case("errors list", stream({"errors": [{"message": "x"}]}), reply({"errors": [{"message": "x"}]}), want=FAILS)
case("event error text data", reply(b"event: error\ndata: upstream died\n\n"), None, want=FAILS)
case(
    "event error after text",
    reply(sse(chunk("It is "), done=False) + b'event: error\ndata: {"message":"died"}\n\n'),
    None,
    want=FAILS,
)
case("html 200", reply(b"<html>hello</html>", "text/html"), reply(b"<html>hello</html>", "text/html"), want=FAILS)
case(
    "html 502", reply(b"<html>bad</html>", "text/html", 502), reply(b"<html>bad</html>", "text/html", 502), want=FAILS
)
case("empty 200", reply(b""), reply(b"", "application/json"), want=FAILS)
case("only done", reply(b"data: [DONE]\n\n"), reply(b"null", "application/json"), want=FAILS)
case("204", head(204), head(204), want=FAILS)
case("304", head(304), head(304), want=FAILS)
case(
    "302",
    reply(b"", "text/html", 302, "location: http://127.0.0.1:1/"),
    reply(b"", "text/html", 302, "location: http://127.0.0.1:1/"),
    want=FAILS,
)
case(
    "307",
    reply(b"", "text/html", 307, "location: /v1/x"),
    reply(b"", "text/html", 307, "location: /v1/x"),
    want=FAILS,
)
case("100 continue first", b"HTTP/1.1 100 Continue\r\n\r\n" + GOOD, b"HTTP/1.1 100 Continue\r\n\r\n" + GOOD_WHOLE)
case(
    "103 hints first",
    b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n" + GOOD,
    b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n" + GOOD_WHOLE,
)
case(
    "429 date",
    reply({"error": {"message": "slow"}}, "application/json", 429, "retry-after: Fri, 31 Dec 2038 23:59:59 GMT"),
    reply({"error": {"message": "slow"}}, "application/json", 429, "retry-after: Fri, 31 Dec 2038 23:59:59 GMT"),
    want=FAILS,
)
case(
    "429 garbage",
    reply({"error": {"message": "slow"}}, "application/json", 429, "retry-after: soon"),
    reply({"error": {"message": "slow"}}, "application/json", 429, "retry-after: soon"),
    want=FAILS,
)
case(
    "429 negative",
    reply({}, "application/json", 429, "retry-after: -5"),
    reply({}, "application/json", 429, "retry-after: -5"),
    want=FAILS,
)
case(
    "429 ms",
    reply({}, "application/json", 429, "retry-after-ms: 999999"),
    reply({}, "application/json", 429, "retry-after-ms: 999999"),
    want=FAILS,
)
case(
    "503 plain",
    reply(b"no healthy upstream", "text/plain", 503),
    reply(b"no healthy upstream", "text/plain", 503),
    want=FAILS,
)
case("520", reply(b"error code: 520", "text/plain", 520), reply(b"error code: 520", "text/plain", 520), want=FAILS)
case("499", reply(b"", "text/plain", 499), reply(b"", "text/plain", 499), want=ANY)
case(
    "choices empty list",
    stream({"choices": []}, chunk("It is "), {"choices": []}, chunk("forty."), STOP),
    reply({**whole(), "choices": []}),
    want=[OK, FAILS],
)
case("choices missing chunk", stream({"id": "x"}, *ANSWER, {"object": "x"}), GOOD_WHOLE)
case("choice null", stream({"choices": [None]}, *ANSWER), reply({"choices": [None]}), want=[OK, FAILS])
case("choices object", stream({"choices": {"0": {}}}, *ANSWER), reply({"choices": {}}), want=[OK, FAILS])
case(
    "delta null",
    stream(chunk("It is forty."), {"choices": [{"index": 0, "delta": None, "finish_reason": "stop"}]}),
    GOOD_WHOLE,
)
case("delta missing", stream(chunk("It is forty."), {"choices": [{"index": 0, "finish_reason": "stop"}]}), GOOD_WHOLE)
case("role only", stream(chunk(role="assistant"), *ANSWER), GOOD_WHOLE)
case(
    "null content",
    stream(chunk(role="assistant", content=None), *ANSWER, chunk(content=None)),
    reply(whole(content=None)),
    want=[OK, FAILS],
)
case(
    "content number",
    stream({"choices": [{"index": 0, "delta": {"content": 40}}]}, STOP),
    reply(whole(content=40)),
    want=[FAILS, "40"],
)
case(
    "content parts",
    stream(chunk([{"type": "text", "text": "It is "}]), chunk([{"type": "text", "text": "forty."}]), STOP),
    reply(whole(content=[{"type": "text", "text": OK}])),
)
case(
    "content parts thinking",
    stream(
        chunk([{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]),
        chunk([{"type": "text", "text": OK}]),
        STOP,
    ),
    reply(
        whole(
            content=[{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": OK}]
        )
    ),
)
case(
    "content object",
    stream(chunk({"type": "text", "text": OK}), STOP),
    reply(whole(content={"type": "text", "text": OK})),
)
case("content list of strings", stream(chunk(["It is ", "forty."]), STOP), reply(whole(content=["It is ", "forty."])))
case(
    "output_text part",
    stream(chunk([{"type": "output_text", "text": OK}]), STOP),
    reply(whole(content=[{"type": "output_text", "text": OK}])),
)
case(
    "several choices",
    stream(
        {
            "choices": [
                {"index": 0, "delta": {"content": "It is forty."}},
                {"index": 1, "delta": {"content": "Other."}},
            ]
        },
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
    ),
    reply(
        {
            "choices": [
                {"index": 0, "message": {"content": OK}, "finish_reason": "stop"},
                {"index": 1, "message": {"content": "Other."}, "finish_reason": "stop"},
            ]
        }
    ),
)
case(
    "second choice alone",
    stream(
        chunk("It is "),
        {"choices": [{"index": 1, "delta": {"content": "Other."}}]},
        chunk("forty."),
        {"choices": [{"index": 1, "delta": {}, "finish_reason": "length"}]},
        STOP,
    ),
    reply(
        {
            "choices": [
                {"index": 1, "message": {"content": "Other."}, "finish_reason": "stop"},
                {"index": 0, "message": {"content": OK}, "finish_reason": "stop"},
            ]
        }
    ),
)
case("index string", stream({"choices": [{"index": "0", "delta": {"content": OK}}]}, STOP), GOOD_WHOLE)
case(
    "bom",
    reply(b"\xef\xbb\xbf" + sse(*ANSWER)),
    reply(b"\xef\xbb\xbf" + json.dumps(whole()).encode(), "application/json"),
)
case(
    "gzip",
    reply(gzip.compress(sse(*ANSWER)), "text/event-stream", 200, "content-encoding: gzip"),
    reply(gzip.compress(json.dumps(whole()).encode()), "application/json", 200, "content-encoding: gzip"),
)
case(
    "deflate",
    reply(zlib.compress(sse(*ANSWER)), "text/event-stream", 200, "content-encoding: deflate"),
    reply(zlib.compress(json.dumps(whole()).encode()), "application/json", 200, "content-encoding: deflate"),
)
case(
    "identity",
    reply(sse(*ANSWER), "text/event-stream", 200, "content-encoding: identity"),
    reply(json.dumps(whole()).encode(), "application/json", 200, "content-encoding: identity"),
)
case(
    "unknown encoding",
    reply(sse(*ANSWER), "text/event-stream", 200, "content-encoding: aws-chunked"),
    reply(json.dumps(whole()).encode(), "application/json", 200, "content-encoding: none"),
    want=[OK, FAILS],
)
BODY = sse(*ANSWER)
JSON = json.dumps(whole()).encode()
case(
    "length too short",
    head(200, "text/event-stream", len(BODY) - 40) + BODY,
    head(200, "application/json", len(JSON) - 9) + JSON,
    want=[OK, FAILS],
)
case(
    "length too long",
    head(200, "text/event-stream", len(BODY) + 40) + BODY,
    head(200, "application/json", len(JSON) + 9) + JSON,
    want=[OK, FAILS],
)
case(
    "no length close",
    head(200, "text/event-stream", None, "connection: close") + BODY,
    head(200, "application/json", None, "connection: close") + JSON,
)
case(
    "chunked small",
    head(200, "text/event-stream", None, "transfer-encoding: chunked") + chunked(BODY),
    head(200, "application/json", None, "transfer-encoding: chunked") + chunked(JSON),
)
case(
    "chunked trailers",
    head(200, "text/event-stream", None, "transfer-encoding: chunked") + chunked(BODY)[:-2] + b"x-a: b\r\n\r\n",
    GOOD_WHOLE,
)
case(
    "chunked bad",
    head(200, "text/event-stream", None, "transfer-encoding: chunked") + b"zz\r\nxx",
    head(200, "application/json", None, "transfer-encoding: chunked") + b"zz\r\nxx",
    want=FAILS,
)
case(
    "chunked no end",
    head(200, "text/event-stream", None, "transfer-encoding: chunked") + chunked(BODY)[:-5],
    GOOD_WHOLE,
)
case("json type with sse", reply(sse(*ANSWER), "application/json"), GOOD_WHOLE)
case("sse type with json", GOOD, reply(json.dumps(whole()).encode(), "text/event-stream"), want=OK)
case("text plain sse", reply(sse(*ANSWER), "text/plain"), GOOD_WHOLE)
case("octet json", GOOD, reply(json.dumps(whole()).encode(), "application/octet-stream"))
case(
    "no type",
    b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(BODY) + BODY,
    b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(JSON) + JSON,
)
case("json though streaming", reply(whole()), GOOD_WHOLE)
case("sse though whole", GOOD, GOOD)
case(
    "ndjson",
    reply("\n".join(json.dumps(e) for e in ANSWER) + "\n", "application/x-ndjson"),
    GOOD_WHOLE,
    want=[OK, FAILS],
)
case("cr lines", reply(sse(*ANSWER).replace(b"\n", b"\r")), GOOD_WHOLE)
case("crlf lines", reply(sse(*ANSWER).replace(b"\n", b"\r\n")), GOOD_WHOLE)
case("data no space", reply(sse(*ANSWER).replace(b"data: ", b"data:")), GOOD_WHOLE)
case("data two spaces", reply(sse(*ANSWER).replace(b"data: ", b"data:  ")), GOOD_WHOLE)
case("DONE lower", reply(sse(*ANSWER, done=False) + b"data: [done]\n\n"), GOOD_WHOLE)
case("DONE spaced", reply(sse(*ANSWER, done=False) + b"data: [DONE] \n\n"), GOOD_WHOLE)
case("DONE quoted", reply(sse(*ANSWER, done=False) + b'data: "[DONE]"\n\n'), GOOD_WHOLE)
case("single newline events", reply(sse(*ANSWER, sep="\n")), GOOD_WHOLE)
case("keepalive data", reply(b'data: {"type":"ping"}\n\n' + sse(*ANSWER)), GOOD_WHOLE)
case("keepalive empty json", reply(b"data: {}\n\n" + sse(*ANSWER)), GOOD_WHOLE)
case("keepalive colon only", reply(b":\n\n:\n\n" + sse(*ANSWER)), GOOD_WHOLE)
case("keepalive comments only", reply(b": a\n\n" * 5), None, want=FAILS)
case("data null", reply(sse(chunk("It is "), None, chunk("forty."), STOP)), GOOD_WHOLE)
case(
    "numbers as text",
    stream(chunk("It is "), chunk(4), chunk(1.5), STOP),
    reply(whole(41.5)),
    want=["It is 41.5", "41.5"],
)
case("JSON as content", stream(chunk({"score": 40}), STOP), reply(whole({"score": 40})), want='{"score":40}')
case("no text as content", stream(chunk(True), STOP), reply(whole(True)), want=FAILS)
case(
    "reason as an object, as SGLang has it",
    stream(chunk("It is "), chunk(fin={"type": "abort", "message": "x"})),
    reply(whole("It is ", {"type": "abort"})),
    want=FAILS,
)
case(
    "event without a delta, as Azure's filter sends it",
    stream(chunk("It is "), {"choices": [{"index": 0, "content_filter_offsets": {}}]}, chunk("forty."), STOP),
    None,
)
case("data string", reply(b'data: "hello"\n\n' + sse(*ANSWER)), GOOD_WHOLE, want=[OK, FAILS])
case("duplicate chunk ids", stream(chunk("It is "), chunk("forty."), STOP, STOP, STOP), GOOD_WHOLE)
case(
    "usage negative",
    stream(*ANSWER, {"choices": [], "usage": {"prompt_tokens": -1, "completion_tokens": None}}),
    reply({**whole(), "usage": {"prompt_tokens": -1, "completion_tokens": "x"}}),
)
case("usage missing", stream(*ANSWER), reply({k: v for k, v in whole().items() if k != "usage"}))
case("usage null", stream(*ANSWER, {"choices": [], "usage": None}), reply({**whole(), "usage": None}))
case("usage list", stream(*ANSWER, {"choices": [], "usage": []}), reply({**whole(), "usage": []}))
case("usage first", stream(USED, *ANSWER), GOOD_WHOLE)
case(
    "usage nan",
    reply(
        sse(*ANSWER, done=False) + b'data: {"choices":[],"usage":{"prompt_tokens":NaN,"completion_tokens":1e400}}\n\n'
    ),
    GOOD_WHOLE,
)
case("refusal field null", stream(chunk(OK, refusal=None), STOP), reply(whole(refusal=None)))
case(
    "refusal field",
    stream(chunk("", refusal="I cannot."), STOP),
    reply(whole(content=None, refusal="I cannot.")),
    want=ANY,
)
case(
    "content_filter finish empty",
    stream(chunk(fin="content_filter")),
    reply(whole(content="", fin="content_filter")),
    want=ANY,
)
case(
    "reasoning only",
    stream(chunk(reasoning_content="hm"), STOP),
    reply(whole(content="", reasoning_content="hm")),
    want=FAILS,
)
case("reasoning then text", stream(chunk(reasoning="hm"), *ANSWER), reply(whole(reasoning="hm")))
case(
    "think inline",
    stream(chunk("<think>\nhm"), chunk("</think>\n\n"), *ANSWER),
    reply(whole(content="<think>hm</think>\n" + OK)),
)
case(
    "think only close",
    stream(chunk("hm</think>"), *ANSWER),
    reply(whole(content="hm</think>" + OK)),
    want=[OK, "hm" + OK],
)
case(
    "harmony",
    stream(chunk("<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>"), *ANSWER),
    reply(whole(content="<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>" + OK)),
)
case(
    "harmony commentary",
    stream(chunk("<|channel|>commentary<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>"), *ANSWER),
    reply(
        whole(content="<|channel|>commentary<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>" + OK)
    ),
)
case("nul", stream(chunk("It\0 is "), chunk("forty."), STOP), reply(whole(content="It\0 is forty.")))
case(
    "invalid utf8",
    reply(sse(chunk("It is forty."), STOP).replace(b"forty", b"for\xffty")),
    reply(JSON.replace(b"forty", b"for\xffty"), "application/json"),
    want=["It is for\ufffdty."],
)
case(
    "control char raw",
    reply(b'data: {"choices":[{"index":0,"delta":{"content":"It is\tforty."}}]}\n\n' + sse(STOP)),
    reply(JSON.replace(b"It is forty", b"It is\tforty"), "application/json"),
    want="It is\tforty.",
)
case(
    "dup keys",
    reply(b'data: {"choices":[{"index":0,"delta":{"content":"x","content":"It is forty."}}]}\n\n' + sse(STOP)),
    GOOD_WHOLE,
)
case(
    "text completions",
    stream({"object": "text_completion", "choices": [{"index": 0, "text": OK, "finish_reason": "stop"}]}),
    reply({"object": "text_completion", "choices": [{"index": 0, "text": OK, "finish_reason": "stop"}]}),
)
case(
    "message in stream",
    stream({"choices": [{"index": 0, "message": {"role": "assistant", "content": OK}, "finish_reason": "stop"}]}),
    GOOD_WHOLE,
)
case(
    "cohere like",
    stream({"text": OK, "is_finished": True, "finish_reason": "COMPLETE"}),
    reply({"text": OK, "finish_reason": "COMPLETE"}),
    want=FAILS,
)
case(
    "responses api",
    stream({"type": "response.output_text.delta", "delta": OK}),
    reply({"output": [{"content": [{"type": "output_text", "text": OK}]}]}),
    want=FAILS,
)
case("finish length", stream(chunk("It is forty."), chunk(fin="length")), reply(whole(fin="length")))
case(
    "finish abort midway",
    stream(chunk("It is "), chunk(fin="abort")),
    reply(whole(content="It is", fin="abort")),
    want=FAILS,
)
case("finish unknown no text", stream(chunk(fin="weird")), reply(whole(content="", fin="weird")), want=FAILS)
case(
    "legacy function_call",
    stream(chunk(function_call={"name": "f", "arguments": "{}"}), chunk(fin="function_call")),
    reply(whole(content=None, fin="function_call", function_call={"name": "f", "arguments": "{}"})),
    want=[["f", "{}"]],
)
case("tool calls empty list", stream(chunk(OK, tool_calls=[]), STOP), reply(whole(tool_calls=[])))
case("tool calls null", stream(chunk(OK, tool_calls=None), STOP), reply(whole(tool_calls=None)))
case(
    "tool call name null pieces",
    stream(
        chunk(tool_calls=[{"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}]),
        chunk(tool_calls=[{"index": 0, "id": "", "type": None, "function": {"name": None, "arguments": '{"a"'}}]),
        chunk(tool_calls=[{"index": 0, "function": {"arguments": ":1}"}}]),
        chunk(fin="tool_calls"),
    ),
    None,
    want=[["f", '{"a":1}']],
)
case(
    "tool call finish stop",
    stream(chunk(tool_calls=[{"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}]), STOP),
    reply(whole(content=None, tool_calls=[{"id": "a", "function": {"name": "f", "arguments": "{}"}}])),
    want=[["f", "{}"]],
)
case(
    "tool call args double",
    stream(
        chunk(tool_calls=[{"index": 0, "id": "a", "function": {"name": "f", "arguments": '"{\\"a\\":1}"'}}]),
        chunk(fin="tool_calls"),
    ),
    None,
    want=ANY,
)
case(
    "tool call as object in delta",
    stream(
        chunk(tool_calls={"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}),
        chunk(fin="tool_calls"),
    ),
    reply(
        whole(content=None, fin="tool_calls", tool_calls={"id": "a", "function": {"name": "f", "arguments": "{}"}})
    ),
    want=[["f", "{}"]],
)
case(
    "tool written",
    stream(chunk('<tool_call>\n{"name": "f", '), chunk('"arguments": {"a": 1}}\n</tool_call>'), STOP),
    reply(whole(content='<tool_call>{"name": "f", "arguments": {"a": 1}}</tool_call>')),
    want=[["f", '{"a": 1}']],
)
case("big chunk", stream(chunk("x" * 300000), STOP), reply(whole(content="x" * 300000)), want="x" * 300000)
case(
    "deep nest",
    reply(b"data: " + b"[" * 5000 + b"]" * 5000 + b"\n\n" + sse(*ANSWER)),
    reply(b"[" * 100000 + b"]" * 100000, "application/json"),
    want=[OK, FAILS],
)
case("headers huge", head(200, "text/event-stream", len(BODY), "x-a: " + "y" * 7000) + BODY, GOOD_WHOLE)
case(
    "headers too huge",
    head(200, "text/event-stream", len(BODY), "x-a: " + "y" * 70000) + BODY,
    head(200, "application/json", len(JSON), "x-a: " + "y" * 70000) + JSON,
    want=[OK, FAILS],
)
case(
    "http10",
    b"HTTP/1.0 200 OK\r\ncontent-type: text/event-stream\r\n\r\n" + BODY,
    b"HTTP/1.0 200 OK\r\ncontent-type: application/json\r\n\r\n" + JSON,
)
case(
    "lf headers",
    b"HTTP/1.1 200 OK\ncontent-type: text/event-stream\ncontent-length: %d\n\n" % len(BODY) + BODY,
    None,
    want=[OK, FAILS],
)
case("not http", b"hello\r\n\r\n", b"hello\r\n\r\n", want=FAILS)
case(
    "list wrapped",
    reply(json.dumps([whole()]).encode(), "application/json"),
    reply(json.dumps([whole()]).encode(), "application/json"),
)
case(
    "model null",
    stream({**chunk(OK), "model": None, "id": None, "created": None}, STOP),
    reply({**whole(), "model": None, "id": None}),
)
case(
    "logprobs beside",
    stream({"choices": [{"index": 0, "delta": {"content": OK}, "logprobs": {"content": []}}]}, STOP),
    reply(
        {
            "choices": [
                {
                    "index": 0,
                    "message": {"content": OK},
                    "logprobs": {"content": [{"token": "x"}]},
                    "finish_reason": "stop",
                }
            ]
        }
    ),
)
case(
    "annotations",
    stream(chunk(OK, annotations=[{"type": "url_citation"}]), STOP),
    reply(whole(annotations=[{"type": "url_citation"}])),
)
case("audio null", stream(chunk(OK, audio=None), STOP), reply(whole(audio=None)))
case("azure prompt filter", stream({"choices": [], "prompt_filter_results": [{}]}, *ANSWER), GOOD_WHOLE)
case(
    "azure async filter last",
    stream(*ANSWER, {"choices": [{"index": 0, "finish_reason": None, "content_filter_offsets": {}}]}),
    GOOD_WHOLE,
)
case(
    "perplexity cumulative",
    stream(
        {"choices": [{"index": 0, "delta": {"content": "It is "}, "message": {"content": "It is "}}]},
        {
            "choices": [
                {
                    "index": 0,
                    "delta": {"content": "forty."},
                    "message": {"content": "It is forty."},
                    "finish_reason": "stop",
                }
            ]
        },
    ),
    GOOD_WHOLE,
)
case("data twice", reply(sse(*ANSWER).replace(b"data: ", b"data: data: ")), None)
case("sse type with json though streaming", reply(json.dumps(whole()).encode(), "text/event-stream"), None)
case("blank lines first", reply(b"\n \n" + sse(*ANSWER)), reply(b"\n \n" + JSON, "application/json"))
case("call that is empty beside a text", stream(chunk(OK, tool_calls=[{}]), STOP), reply(whole(tool_calls=[{}])))
case(
    "call without a name",
    stream(chunk("Let me see.", tool_calls=[{}]), chunk(fin="tool_calls")),
    reply(whole(fin="tool_calls", tool_calls=[{"function": {"arguments": "{}"}}])),
    want=FAILS,
)
WHOLE_CHOICE = {"index": 0, "message": {"role": "assistant", "content": OK}, "finish_reason": "stop"}
case("whole answer behind its pieces", stream(chunk("It is "), chunk("forty."), {"choices": [WHOLE_CHOICE]}), None)
case("whole answer behind a role", stream(chunk("", role="assistant"), {"choices": [WHOLE_CHOICE]}), None)
case(
    "pieces as messages",
    stream({"choices": [{"index": 0, "message": {"content": "It is "}}]}, chunk("forty.", "stop")),
    None,
)


case(
    "html 400",
    reply(b"\n<html>plain HTTP to an HTTPS port</html>", "text/html", 400),
    reply(b"<html>plain HTTP to an HTTPS port</html>", "text/html", 400),
    want=FAILS,
)


def from_one(event: dict[str, Any]) -> dict[str, Any]:
    return {"choices": [{**event["choices"][0], "index": 1}]}


case("choices counted from one", stream(*map(from_one, ANSWER)), reply(from_one(whole())))
for key in ("provider", "result", "data", "response"):
    case(
        f"within {key}",
        stream(*({"id": None, "choices": None, key: event} for event in ANSWER)),
        reply({"id": None, "choices": None, key: whole()}),
    )
case("cloudflare wrap", stream({"response": "x"}), reply({"result": {"response": "x"}, "success": True}), want=FAILS)
case("whitespace answer", stream(chunk(" \n"), STOP), reply(whole(content=" \n")), want=FAILS)
