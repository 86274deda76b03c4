"""Values to bytes and back: JSON with exact types, compressed when large; pickle only where asked for, and signed.

The first byte says how the rest is written, so that a format can change under entries that are stored already.
"""

from __future__ import annotations

import hmac
import pickle
from hashlib import sha256
from typing import Any

import orjson

from tilores_core.cache.keys import refuse_inexact
from tilores_core.errors import CacheError

COMPRESS_ABOVE = 8 * 1024
"""Bytes above which a value is compressed."""

MAX_DECODED = 64 * 1024 * 1024
"""The most that a compressed value may become, in bytes: a forged one must not fill the memory."""

_JSON, _JSON_ZSTD, _PICKLE, _PICKLE_ZSTD = b"\x10", b"\x11", b"\x12", b"\x13"  # high half: format 1
_SIGNATURE_BYTES = 32
_OPTIONS = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_SUBCLASS


class UnreadableError(CacheError):
    """Stored bytes that are damaged, forged, unsigned or of another format: to be treated as absent."""


def encode(value: object) -> bytes:
    """Return `value` as bytes that `decode` turns into an equal value of the same types.

    Takes dict with str keys, list, str, int within 64 bits, finite float, bool and None. Raises `TypeError` or
    `ValueError` for all that JSON would give back changed (tuples, NaN, other classes).
    """
    data = orjson.dumps(value, option=_OPTIONS)
    refuse_inexact(value, tuples=False)
    return mark_json(data)


def mark_json(data: bytes) -> bytes:
    """JSON that has exact types as bytes that `decode` reads."""
    if len(data) > COMPRESS_ABOVE:
        return _JSON_ZSTD + _compress(data)
    return _JSON + data


def decode(data: bytes) -> Any:
    """What `encode` was given. Raises `UnreadableError`; never unpickles."""
    kind = data[:1]
    if kind == _JSON:
        text = data[1:]
    elif kind == _JSON_ZSTD:
        text = _decompress(data[1:])
    else:
        raise UnreadableError("the value is not in a format that may be read here")
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        raise UnreadableError("the value is not JSON") from None


class Codec:
    """Serialises cached values.

    `encode` and `decode` for cache keys, with a signed pickle for what JSON cannot hold, where `pickle` allows it.

    The signature covers the key: a value copied under another key is refused. Without `secret` nothing is ever
    pickled or unpickled.
    """

    def __init__(self, *, pickle: bool = False, secret: bytes | None = None) -> None:
        self._pickle = pickle
        self._secret = secret or None

    def encode(self, key: str, value: object) -> bytes:
        """JSON where that is exact, else a signed pickle. Raises as `encode`; `CacheError` without a secret."""
        try:
            return encode(value)
        except (TypeError, ValueError):
            if not self._pickle:
                raise
        if self._secret is None:
            raise CacheError(
                f"a {type(value).__qualname__} is not exact as JSON, and pickled values have to be signed",
                fix="set TILORES_SECRET_KEY to a long random text, the same for all replicas",
            )
        data = pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
        body = _PICKLE_ZSTD + _compress(data) if len(data) > COMPRESS_ABOVE else _PICKLE + data
        return body[:1] + _sign(self._secret, key, body) + body[1:]

    def decode(self, key: str, data: bytes) -> Any:
        """The value stored under `key`. Raises `UnreadableError`."""
        if data[:1] not in (_PICKLE, _PICKLE_ZSTD):
            return decode(data)
        if self._secret is None or not self._pickle:
            raise UnreadableError("a pickled value where none is allowed")
        kind, signature, rest = data[:1], data[1 : 1 + _SIGNATURE_BYTES], data[1 + _SIGNATURE_BYTES :]
        if not hmac.compare_digest(signature, _sign(self._secret, key, kind + rest)):
            raise UnreadableError("the signature is wrong")
        if kind == _PICKLE_ZSTD:
            rest = _decompress(rest)
        try:
            return pickle.loads(rest)  # noqa: S301 - only after the signature above was found right
        except Exception as error:  # our own bytes, but perhaps of a class that has since changed
            raise UnreadableError(f"the value cannot be unpickled ({type(error).__name__})") from None


def _sign(secret: bytes, key: str, body: bytes) -> bytes:
    name = key.encode()
    return hmac.digest(secret, len(name).to_bytes(4, "big") + name + body, sha256)


def _compress(data: bytes) -> bytes:
    import zstandard

    return zstandard.ZstdCompressor(level=3).compress(data)


def _decompress(data: bytes) -> bytes:
    import zstandard

    try:
        size = zstandard.frame_content_size(data)
        if not 0 <= size <= MAX_DECODED:
            raise UnreadableError("the compressed value does not say its size, or is too large")
        text = zstandard.ZstdDecompressor().decompress(data)
    except zstandard.ZstdError:
        raise UnreadableError("the compressed value is damaged") from None
    return text
