"""Server-sent events by the rules of the standard, however they are cut."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from tilores_core.llm.failures import MalformedReplyError
from tilores_core.llm.sse import LONGEST_EVENT, EventParser


def parsed(*chunks: bytes) -> list[tuple[bytes, bytes]]:
    parser = EventParser()
    return [event for chunk in chunks for event in parser.feed(chunk)]


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: one\n\ndata: two\n\n", [(b"", b"one"), (b"", b"two")]),
        (b"data:one\r\n\r\ndata:  two\r\n\r\n", [(b"", b"one"), (b"", b" two")]),
        (b"data: one\r\rdata: two\r\r\n", [(b"", b"one"), (b"", b"two")]),
        (b"\xef\xbb\xbfdata: one\n\n", [(b"", b"one")]),
        (b": a comment\nretry: 3000\nid: 7\n\ndata: one\n\n", [(b"", b"one")]),
        (b"event: ping\n\ndata: one\n\n", [(b"", b"one")]),
        (b"event: ping\ndata: \n\ndata:\n\ndata\n\ndata: one\n\n", [(b"", b"one")]),
        (b"event: error\ndata: {}\n\ndata: one\n\n", [(b"error", b"{}"), (b"", b"one")]),
        (b'data: {"a":\ndata: 1}\n\n', [(b"", b'{"a":\n1}')]),
        (b'data: {"a":1}\ndata:{"a":2}\ndata: [DONE]\n\n', [(b"", b'{"a":1}'), (b"", b'{"a":2}'), (b"", b"[DONE]")]),
        (b'event: a\ndata: {"a":1}\nevent: b\ndata: {}\n', [(b"a", b'{"a":1}'), (b"b", b"{}")]),
        (b'data: {"a":1}\nevent: a\n\ndata: {}\n\n', [(b"a", b'{"a":1}'), (b"", b"{}")]),
        (b"data: a\xc2\x85b\xe2\x80\xa8c\n\n", [(b"", b"a\xc2\x85b\xe2\x80\xa8c")]),
        (b"data: half an event\n", []),
        (b"nonsense\nfield: value\n\ndata: one\n\n", [(b"", b"one")]),
    ],
)
def test_stream_by_the_standard_gives_its_events(stream: bytes, events: list[tuple[bytes, bytes]]) -> None:
    assert parsed(stream) == events
    assert parsed(*(bytes([byte]) for byte in stream)) == events


def test_event_without_blank_lines_does_not_wait_for_the_next() -> None:
    parser = EventParser()
    assert list(parser.feed(b'data: {"a":1}\n')) == []  # a blank line may follow
    assert list(parser.feed(b'data: {"a":2}\n')) == [(b"", b'{"a":1}'), (b"", b'{"a":2}')]
    assert list(parser.feed(b'data: {"a":\n')) == []
    assert list(parser.feed(b"data: {}}\n")) == [(b"", b'{"a":\n{}}')]
    assert list(parser.feed(b"data: [DONE]\n")) == [(b"", b"[DONE]")]


@given(st.lists(st.integers(0, 60)))
def test_stream_cut_anywhere_gives_the_same_events(cuts: list[int]) -> None:
    stream = b"data: one\r\n\r\n: ping\n\nevent: x\ndata: t\xc3\xb6\ndata: wo\r\rdata: three\n\n"
    ends = sorted({min(cut, len(stream)) for cut in cuts} | {len(stream)})
    chunks = [stream[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    assert parsed(*chunks) == [(b"", b"one"), (b"x", b"t\xc3\xb6\nwo"), (b"", b"three")]


@pytest.mark.parametrize("tail", [b"data: last", b"data: last\n"])
def test_event_without_its_blank_line_is_the_rest(tail: bytes) -> None:
    parser = EventParser()
    assert list(parser.feed(b"data: one\n\n" + tail)) == [(b"", b"one")]
    assert parser.rest() == (b"", b"last")


def test_event_without_an_end_is_refused() -> None:
    chunks = [b"x" * 65536] * (LONGEST_EVENT // 65536 + 2)
    with pytest.raises(MalformedReplyError):
        parsed(*chunks)
