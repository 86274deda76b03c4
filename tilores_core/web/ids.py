"""Request ids, taken or made, and run ids."""

from __future__ import annotations

import itertools
import random
import re
import secrets

_SAFE = re.compile(rb"(?!\+)[A-Za-z0-9._:/+=-]{1,128}")


class RequestIds:
    """Unique over processes: a random beginning, then a count."""

    def __init__(self) -> None:
        self._prefix = b"req-" + secrets.token_hex(6).encode() + b"-"
        self._count = itertools.count(1)

    def take(self, given: bytes | None) -> bytes:
        """The client's own id when it is short and plain (it goes into logs and headers), and no e-mail address or
        telephone number; else a new one."""
        if given is not None and _SAFE.fullmatch(given):
            return given
        return self._prefix + b"%x" % next(self._count)


# Of 128 random bits, those that a UUID has fixed: version 4 and the variant.
_FREE = ~((0xF << 76) | (0x3 << 62))
_FIXED = (0x4 << 76) | (0x2 << 62)


def new_run_id() -> str:
    """A version 4 UUID; put together by hand, as `uuid.uuid4()` takes several times as long."""
    text = "%032x" % (random.getrandbits(128) & _FREE | _FIXED)  # an id, not a secret
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
