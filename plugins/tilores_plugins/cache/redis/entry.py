"""The format of an entry in Redis: a header, the tags, the value.

    version 1 byte | crc32 4 | expires_at 8 | length of the tags 4 | tags as JSON | value

The checksum covers the key and everything after it, so that bytes that were truncated, changed or stored under
another key are not read as an entry. The tags come first, so that they can be read without the value.
"""

from __future__ import annotations

import struct
from zlib import crc32

import orjson

from tilores_core import CacheEntry

VERSION = 1
_CHECK = struct.Struct(">BI")
_BODY = struct.Struct(">dI")
_TAGS_AT = _CHECK.size + _BODY.size

TAGS_PEEK = 2048
"""Bytes from the front of an entry that hold the tags of any entry of ordinary size."""


def pack(key: str, entry: CacheEntry) -> bytes:
    tags = orjson.dumps(entry.tags) if entry.tags else b""
    body = b"".join((_BODY.pack(entry.expires_at, len(tags)), tags, entry.value))
    return _CHECK.pack(VERSION, crc32(body, crc32(key.encode()))) + body


def unpack(key: str, raw: bytes) -> CacheEntry | None:
    """The entry, or None when these bytes are not what `pack` made for this key."""
    if len(raw) < _TAGS_AT:
        return None
    version, checksum = _CHECK.unpack_from(raw)
    if version != VERSION or crc32(memoryview(raw)[_CHECK.size :], crc32(key.encode())) != checksum:
        return None
    expires_at, tags_length = _BODY.unpack_from(raw, _CHECK.size)
    value_at = _TAGS_AT + tags_length
    tags = _tags(raw[_TAGS_AT:value_at]) if tags_length else ()
    return None if tags is None else CacheEntry(raw[value_at:], expires_at, tags)


def carries(front: bytes, tag: str) -> bool:
    """Whether an entry that begins with `front` carries the tag. True where that is unknown."""
    if len(front) < _TAGS_AT or front[0] != VERSION:
        return True
    _, tags_length = _BODY.unpack_from(front, _CHECK.size)
    if len(front) < _TAGS_AT + tags_length:
        return True
    tags = _tags(front[_TAGS_AT : _TAGS_AT + tags_length]) if tags_length else ()
    return tags is None or tag in tags


def _tags(raw: bytes) -> tuple[str, ...] | None:
    # a checksum is not a signature: bytes that others wrote to Redis may pass it, and must be a miss
    try:
        tags = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        return None
    return tuple(tags)
