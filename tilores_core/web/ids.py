"""Request ids, taken or made, and run ids."""

from __future__ import annotations

import itertools
import random
import re
import secrets

_SAFE = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")


class RequestIds:
    """Unique over processes: a random beginning, then a count."""

    def __init__(self) -> None:
        self._prefix = b"req-" + secrets.token_hex(6).encode() + b"-"
        self._count = itertools.count(1)

    def take(self, given: bytes | None) -> bytes:
        """The client's own id when it is short and plain (it goes into logs and headers), else a new one."""
        if given is not None and _SAFE.fullmatch(given):
            return given
        return self._prefix + b"%x" % next(self._count)


def new_run_id() -> str:
    """A version 4 UUID; put together by hand, as `uuid.uuid4()` takes several times as long."""
    h = f"{random.getrandbits(128):032x}"  # an id, not a secret
    return f"{h[:8]}-{h[8:12]}-4{h[13:16]}-{'89ab'[int(h[16], 16) & 3]}{h[17:20]}-{h[20:]}"
