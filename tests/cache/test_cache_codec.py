"""Values come back as they were, or are refused; what was tampered with is never unpickled."""

from __future__ import annotations

import math
import pickle
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given, strategies as st

from tilores_core.cache import codec
from tilores_core.cache.codec import Codec, UnreadableError, decode, encode
from tilores_core.errors import CacheError

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)

KEY = "models:" + "0" * 64


def same(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return repr(one) == repr(other)  # tells 0.0 from -0.0


@given(values)
def test_values_come_back_with_their_types(value: Any) -> None:
    assert same(decode(encode(value)), value)


@pytest.mark.parametrize(
    "value",
    [(1, 2), {"a": (1,)}, {1: 2}, math.nan, [math.inf], b"bytes", {1}, date(2026, 1, 1), 2**64, "\udc00", object()],
)
def test_what_would_come_back_changed_is_refused(value: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        encode(value)


def test_large_values_are_compressed() -> None:
    value = {"text": "all work and no play " * 1000}
    data = encode(value)
    assert len(data) < 1000
    assert decode(data) == value
    small = encode("x" * (codec.COMPRESS_ABOVE - 2))
    assert len(small) == codec.COMPRESS_ABOVE + 1


@given(values, st.data())
def test_damage_is_an_error_of_one_kind_or_another_value_but_never_a_crash(value: Any, data: st.DataObject) -> None:
    whole = bytearray(encode(value))
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= data.draw(st.integers(1, 255))
    with suppress(UnreadableError):
        decode(bytes(whole))


@pytest.mark.parametrize(
    "data", [b"", b"\x00", b"\x10", b"\x10{", b"\x11", b"\x11abc", b"\x20{}", b"\x10" + b"[" * 5000]
)
def test_what_is_no_value_of_ours_is_unreadable(data: bytes) -> None:
    with pytest.raises(UnreadableError):
        decode(data)


@pytest.mark.parametrize("cut", [1, 2, 10, 100])
def test_a_truncated_compressed_value_is_unreadable(cut: int) -> None:
    data = encode([f"line {number}" for number in range(5000)])
    with pytest.raises(UnreadableError):
        decode(data[:-cut])


def test_a_compressed_value_may_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "MAX_DECODED", 10_000)
    with pytest.raises(UnreadableError, match="too large"):
        decode(b"\x11" + zstandard.ZstdCompressor().compress(bytes(10_001)))
    without_size = zstandard.ZstdCompressor(write_content_size=False).compress(b"[]")
    with pytest.raises(UnreadableError, match="size"):
        decode(b"\x11" + without_size)


# --- pickle ---


def codecs(secret: bytes | None = b"secret") -> Codec:
    return Codec(secret=secret, pickle=True)


@pytest.mark.parametrize("value", [(1, 2), {1: {2}}, date(2026, 1, 1), b"x" * 20_000])
def test_a_namespace_that_asks_for_it_may_pickle(value: object) -> None:
    assert codecs().decode(KEY, codecs().encode(KEY, value)) == value


def test_json_stays_json_there_too() -> None:
    assert codecs().encode(KEY, {"a": 1}) == encode({"a": 1})
    assert codecs().decode(KEY, encode({"a": 1})) == {"a": 1}


@pytest.mark.parametrize(
    "one", [Codec(), Codec(secret=b"secret"), Codec(pickle=True), Codec(secret=b"", pickle=True)]
)
def test_without_a_secret_or_the_wish_nothing_is_pickled_or_unpickled(one: Codec) -> None:
    with pytest.raises((TypeError, CacheError)):
        one.encode(KEY, (1, 2))
    with pytest.raises(UnreadableError):
        one.decode(KEY, codecs().encode(KEY, (1, 2)))


def test_pickle_without_a_secret_names_the_variable_that_is_missing() -> None:
    with pytest.raises(CacheError) as caught:
        Codec(pickle=True).encode(KEY, {1, 2})
    assert "TILORES_SECRET_KEY" in str(caught.value.fix)


class Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


def test_nothing_unsigned_or_forged_is_unpickled(tmp_path: Path) -> None:
    trace = tmp_path / "it went off"
    bomb = pickle.dumps(Bomb(trace))
    signed = Codec(secret=b"another secret", pickle=True).encode(KEY, Bomb(trace))
    mine = codecs().encode(KEY, Bomb(trace))
    forged = [
        b"\x12" + bomb,
        b"\x12" + bytes(32) + bomb,
        bomb,
        signed,
        mine[:1] + mine[1:33] + bomb + b" ",
        b"\x13" + mine[1:],
        mine[:20],
        b"\x12",
    ]
    reader = codecs()
    for data in forged:
        with pytest.raises(UnreadableError):
            reader.decode(KEY, data)
    with pytest.raises(UnreadableError):
        reader.decode("models:" + "1" * 64, mine)  # rightly signed, but for another key
    assert not trace.exists()
    reader.decode(KEY, mine)
    assert trace.exists(), "the trap works"


@given(st.data())
def test_any_change_of_a_signed_value_is_found(data: st.DataObject) -> None:
    whole = bytearray(codecs().encode(KEY, (1, "two", 3.0)))
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(UnreadableError):
        codecs().decode(KEY, bytes(whole))


def test_a_signed_value_of_a_class_that_is_gone_is_unreadable() -> None:
    data = b"cnowhere\nNothing\n."
    body = b"\x12" + codec._sign(b"secret", KEY, b"\x12" + data) + data
    with pytest.raises(UnreadableError, match="ModuleNotFoundError"):
        codecs().decode(KEY, body)


def test_unreadable_is_a_cache_error() -> None:
    assert issubclass(UnreadableError, CacheError)
