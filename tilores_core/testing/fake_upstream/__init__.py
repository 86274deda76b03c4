"""A fake model provider: a real HTTP server that speaks the provider's own wire protocol and fails as a test says.

    from tilores_core.testing.fake_upstream import Cut, HttpError, Reply, FakeUpstream, ToolCall

    async with FakeUpstream("openai") as upstream:
        provider = OpenAIProvider(Settings(base_url=upstream.base_url, api_key=upstream.key))
        upstream.enqueue("Her balance is 40 dollars.", HttpError(status=429, retry_after=2), Cut(after=3))
        upstream.enqueue(Reply(tool_calls=(ToolCall("find_customer", {"email": "e@example.com"}),)))
        upstream.always["gpt-x"] = HttpError(status=503)      # this model is down until it is removed
        upstream.otherwise = Reply("Good day.", first_token=0.2, between=0.01)
        ...
        assert upstream.counts["gpt-x"] <= 3 and upstream.disconnects == 0
        assert upstream.requests[-1].body["temperature"] == 0.2

`with FakeUpstream(...)` runs it in a thread, for clients that block; in a process of its own it is

    python -m tilores_core.testing.fake_upstream --dialect openai --port 0 --latency-ms 100

which prints one line of JSON with its `base_url`. Faults are values, alone or as `Reply(..., fault=...)`:
`HttpError`, `InvalidKey`, `ContextTooLong`, `ContentRefused`, `Reset`, `Hang`, `Stall`, `Cut`, `NoFinish`,
`NoEndMark`, `MalformedEvent`, `ErrorEvent`, `MalformedReply`. Those of a stream (`Stall`, `Cut`, `MalformedEvent`,
`ErrorEvent`, `NoFinish`) spoil a whole answer in the like manner. `NoEndMark` leaves a whole answer alone, and every
answer of a protocol that has no mark apart from the finish reason (google, ollama). `Reply(..., quirks=(...))` does
what some providers do beside their protocol (`Quirk`), `Reply(..., reason="abort")` ends with a reason of theirs.
"""

from tilores_core.testing.fake_upstream.dialects import DIALECTS
from tilores_core.testing.fake_upstream.server import DEFAULT_KEY, FakeUpstream
from tilores_core.testing.fake_upstream.values import (
    Asked,
    ContentRefused,
    ContextTooLong,
    Cut,
    ErrorEvent,
    Fault,
    Hang,
    HttpError,
    InvalidKey,
    MalformedEvent,
    MalformedReply,
    NoEndMark,
    NoFinish,
    Quirk,
    Recorded,
    Reply,
    ReplyLike,
    Reset,
    Stall,
    ToolCall,
)

__all__ = [
    "DEFAULT_KEY",
    "DIALECTS",
    "Asked",
    "ContentRefused",
    "ContextTooLong",
    "Cut",
    "ErrorEvent",
    "FakeUpstream",
    "Fault",
    "Hang",
    "HttpError",
    "InvalidKey",
    "MalformedEvent",
    "MalformedReply",
    "NoEndMark",
    "NoFinish",
    "Quirk",
    "Recorded",
    "Reply",
    "ReplyLike",
    "Reset",
    "Stall",
    "ToolCall",
]
