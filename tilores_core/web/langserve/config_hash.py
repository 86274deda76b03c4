"""The config that may stand in the path, `/chat/c/{config_hash}/…`: JSON packed by lz-string, as links carry it.

Only unpacking, and with a bound: the text comes from strangers and a short one can stand for a very long one.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from tilores_core.web.langserve.errors import ConfigHashError

MAX_PACKED: Final = 16_384
MAX_UNPACKED: Final = 65_536
"""Characters, before and after."""

_ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-$"
# The 65th character only pads.
_BITS: Final = {character: format(index, "06b")[-6:] for index, character in enumerate(_ALPHABET[:64])} | {
    "$": "000000"
}


def decode_config_hash(text: str) -> dict[str, Any]:
    """The config in a path, e.g. `N4Ig…`. Raises `ConfigHashError` when it is none or too large."""
    try:
        config = orjson.loads(_unpack(text))
    except ValueError:
        raise ConfigHashError from None
    if not isinstance(config, dict):
        raise ConfigHashError
    return config


def _unpack(text: str) -> str:
    """lz-string's `decompressFromEncodedURIComponent`. Raises `ValueError`."""
    if not text or len(text) > MAX_PACKED:
        raise ValueError("nothing, or too much")
    try:
        # A space is a plus sign that went through a form.
        bits = "".join([_BITS[character] for character in text.replace(" ", "+")])
    except KeyError:
        raise ValueError("not of the alphabet") from None
    # lz-string works on UTF-16 units, so what lies beyond them arrives in halves.
    return _expand(bits).encode("utf-16-le", "surrogatepass").decode("utf-16-le")


def _expand(bits: str) -> str:
    """LZ78: a code is the number of an entry, or 0 for a new 8-bit character, 1 for a 16-bit one, 2 for the end.

    A code has as many bits as the number of entries. Raises `ValueError`.
    """
    position = 0

    def read(width: int) -> int:
        nonlocal position
        begin, position = position, position + width
        if position > len(bits):
            raise ValueError("cut off")
        return int(bits[begin:position][::-1], 2)  # the lowest bit comes first

    first = read(2)
    if first == 2:
        return ""
    if first == 3:
        raise ValueError("no character to begin with")
    previous = chr(read(8 << first))
    entries, parts, size = ["", "", "", previous], [previous], 1
    while (code := read(len(entries).bit_length())) != 2:
        if code < 2:
            entries.append(chr(read(8 << code)))
            code = len(entries) - 1
        if code > len(entries):
            raise ValueError("an entry that does not exist")
        entry = entries[code] if code < len(entries) else previous + previous[0]
        size += len(entry)
        if size > MAX_UNPACKED:
            raise ValueError("too long")
        parts.append(entry)
        entries.append(previous + entry[0])
        previous = entry
    return "".join(parts)
