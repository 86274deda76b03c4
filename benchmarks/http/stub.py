"""An upstream model with an answer always ready: OpenAI's protocol on a bare asyncio protocol, for benchmarks alone.

It reads no more of a request than its length, so that it is never what is measured. `python stub.py PORT`;
`GET /set?latency_ms=100` changes the delay, `GET /set?gap_ms=20` the time between a stream's words (0: all at once),
`GET /count` tells how many completions were asked for.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys

ANSWER = ("The customer's credit score is 742, one of the two records was updated in March. " * 7)[:512]
COMPLETION = {
    "id": "chatcmpl-stub",
    "object": "chat.completion",
    "created": 1_767_225_600,
    "model": "stub-model",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": ANSWER},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 600, "completion_tokens": 120, "total_tokens": 720},
}


def _chunk(delta: dict[str, str], finish: str | None = None) -> bytes:
    body = {**COMPLETION, "object": "chat.completion.chunk", "usage": None}
    body["choices"] = [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def _stream(pieces: list[str]) -> bytes:
    usage = (
        b"data: " + json.dumps({**COMPLETION, "object": "chat.completion.chunk", "choices": []}).encode() + b"\n\n"
    )
    return b"".join(
        (
            _chunk({"role": "assistant", "content": ""}),
            *(_chunk({"content": piece}) for piece in pieces),
            _chunk({}, "stop"),
            usage,
            b"data: [DONE]\n\n",
        )
    )


def _reply(body: bytes, kind: bytes = b"application/json") -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n%b" % (kind, len(body), body)


WHOLE = _reply(json.dumps(COMPLETION).encode())
STREAMED = _reply(_stream([ANSWER[at : at + 32] for at in range(0, len(ANSWER), 32)]), b"text/event-stream")
# Headers and first word, then one word at a time, as models send them.
WORDS = _reply(_stream(re.findall(r"\s*\S+", ANSWER)), b"text/event-stream")
APART = re.findall(rb"(?s)(?:HTTP.*?\n\n)?data: .*?\n\n", WORDS)


class Stub(asyncio.Protocol):
    """One connection."""

    latency = 0.0
    gap = 0.0
    count = 0

    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # what a TCP server gives
        self.received = b""

    def data_received(self, data: bytes) -> None:
        self.received += data
        while True:
            head, end, rest = self.received.partition(b"\r\n\r\n")
            if not end:
                return
            lower = head.lower()
            length = int(lower.partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
            if len(rest) < length:
                return
            self.received = rest[length:]
            self.answer(head, rest[:length])

    def answer(self, head: bytes, body: bytes) -> None:
        if head.startswith(b"GET /set?latency_ms="):
            Stub.latency = float(head.split(b"=", 1)[1].split(b" ", 1)[0]) / 1000
            self.transport.write(_reply(b"{}"))
        elif head.startswith(b"GET /set?gap_ms="):
            Stub.gap = float(head.split(b"=", 1)[1].split(b" ", 1)[0]) / 1000
            self.transport.write(_reply(b"{}"))
        elif head.startswith(b"GET /count"):
            self.transport.write(_reply(b"%d" % Stub.count))
        else:
            Stub.count += 1
            streamed = b'"stream":true' in body.replace(b" ", b"")
            reply = STREAMED if streamed else WHOLE
            if streamed and Stub.gap:
                loop = asyncio.get_running_loop()
                for number, event in enumerate(APART):
                    loop.call_later(number * Stub.gap, self._write, event)
            elif Stub.latency:
                asyncio.get_running_loop().call_later(Stub.latency, self._write, reply)
            else:
                self.transport.write(reply)

    def _write(self, reply: bytes) -> None:
        if not self.transport.is_closing():  # the end of a measurement cuts what is under way
            self.transport.write(reply)


async def main(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Stub, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    import uvloop

    uvloop.run(main(int(sys.argv[1])))
