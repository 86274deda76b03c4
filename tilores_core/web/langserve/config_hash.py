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
    units = _Unpacker(bits).run()
    # lz-string works on UTF-16 units, so what lies beyond them arrives in halves.
    return units.encode("utf-16-le", "surrogatepass").decode("utf-16-le")


class _Unpacker:
    """LZ78 with codes that grow: 0 announces a new 8-bit character, 1 a 16-bit one, 2 the end."""

    def __init__(self, bits: str) -> None:
        self._bits = bits
        self._position = 0

    def _read(self, width: int) -> int:
        end = self._position + width
        if end > len(self._bits):
            raise ValueError("cut off")
        # The lowest bit comes first.
        value = int(self._bits[self._position : end][::-1], 2)
        self._position = end
        return value

    def run(self) -> str:
        first = self._read(2)
        if first == 2:
            return ""
        if first == 3:
            raise ValueError("no character to begin with")
        previous = chr(self._read(8 if first == 0 else 16))
        entries = ["", "", "", previous]
        parts = [previous]
        size = 1
        # `room`: how many entries still fit before the codes grow by a bit.
        width, room = 3, 4
        while True:
            code = self._read(width)
            if code == 2:
                return "".join(parts)
            if code < 2:
                entries.append(chr(self._read(8 if code == 0 else 16)))
                code = len(entries) - 1
                room -= 1
                if room == 0:
                    room = 1 << width
                    width += 1
            if code < len(entries):
                entry = entries[code]
            elif code == len(entries):
                entry = previous + previous[0]
            else:
                raise ValueError("an entry that does not exist")
            size += len(entry)
            if size > MAX_UNPACKED:
                raise ValueError("too long")
            parts.append(entry)
            entries.append(previous + entry[0])
            previous = entry
            room -= 1
            if room == 0:
                room = 1 << width
                width += 1
