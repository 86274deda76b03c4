"""A request decoded from the same bytes and headers is decoded once; anything else is decoded anew."""

from __future__ import annotations

import pytest

from tilores_core.errors import InvalidRequestError
from tilores_core.settings import ChatTable
from tilores_core.web.openai.decode import HEADERS, decode_completion
from tilores_core.web.request import DecodeCache

BODY = b'{"model": "demo:simulated-1", "messages": [{"role": "user", "content": "hello"}]}'


def test_the_same_is_decoded_once_and_another_anew() -> None:
    kept: DecodeCache[object] = DecodeCache()
    first = kept.get(b"a", (None, b"x"), object)
    assert kept.get(b"a", (None, b"x"), object) is first
    assert kept.get(b"a", (b"x", None), object) is not first
    assert kept.get(b"a ", (None, b"x"), object) is not first
    large = b"a" * 20_000
    assert kept.get(large, (), object) is not kept.get(large, (), object)


def test_what_is_wrong_is_wrong_each_time() -> None:
    kept: DecodeCache[object] = DecodeCache()

    def fail() -> object:
        raise InvalidRequestError("no")

    for _ in range(2):
        with pytest.raises(InvalidRequestError):
            kept.get(b"a", (), fail)


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
