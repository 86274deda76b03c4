"""A request whose answer was stored is decoded once for the same bytes and headers, and no other request is."""

from __future__ import annotations

from tilores_core.settings import ChatTable
from tilores_core.web.openai.decode import HEADERS, decode_completion
from tilores_core.web.request import DecodeCache

BODY = b'{"model": "demo:simulated-1", "messages": [{"role": "user", "content": "hello"}]}'


def test_only_what_had_a_stored_answer_is_kept() -> None:
    kept: DecodeCache[object] = DecodeCache()
    decoded, key = object(), (b"a", None, b"x")
    for tier in ("", "miss"):
        kept.keep(key, decoded, tier)
        assert kept.get(key) is None
    kept.keep(key, decoded, "l1")
    assert kept.get(key) is decoded
    assert kept.get((b"a", b"x", None)) is None
    assert kept.get((b"a ", None, b"x")) is None
    kept.keep((b"a" * 20_000,), decoded, "l1")
    assert kept.get((b"a" * 20_000,)) is None


class Watched(dict[bytes, bytes]):
    """Headers that note which of them are read."""

    def __init__(self) -> None:
        super().__init__()
        self.read: set[bytes] = set()

    def get(self, name: bytes, default: object = None) -> object:  # type: ignore[override]
        self.read.add(name)
        return super().get(name, default)


def test_the_headers_named_are_all_that_are_read() -> None:
    """A header that decoding reads and the key leaves out would give one caller another's session or customer."""
    for extra in (
        b"",
        b', "stream": true, "stream_options": {"include_usage": true}',
        b', "user": "u", "metadata": {}',
    ):
        headers = Watched()
        decode_completion(BODY[:-1] + extra + b"}", headers, ChatTable())
        assert headers.read <= set(HEADERS)
