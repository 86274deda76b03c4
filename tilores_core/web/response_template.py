"""Replies kept as bytes, with gaps for the values of each request.

A reply is rendered once per stored answer and protocol, with markers in place of the values that differ from request
to request (run id, time, tier, age, latency). The markers become the gaps of a bytes format; serving a hit is then
one formatting of bytes by bytes, and nothing is serialised.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping, Sequence

import orjson

from tilores_core.contracts import Answer

# An answer cannot contain a marker, by chance or by malice: nothing outside this process knows it.
_NONCE = secrets.token_hex(8)


class ResponseTemplate:
    """How the replies of one protocol are cut.

    `build`: the reply as a JSON value, from an answer and name -> value. `strings`: names of values inside JSON
    strings; `scalars`: of values that are JSON numbers or booleans. `order`: the names in the order of their gaps; a
    name may have several.
    """

    def __init__(
        self,
        name: str,
        build: Callable[[Answer, Mapping[str, str]], object],
        *,
        strings: Sequence[str],
        scalars: Sequence[str],
    ) -> None:
        self.name = name
        self.order: tuple[str, ...] = ()
        self._build = build
        self._markers: Mapping[str, str] = {field: f"@{_NONCE}-{field}@" for field in (*strings, *scalars)}
        self._names = {
            **{self._markers[field].encode(): field for field in strings},
            **{b'"%b"' % self._markers[field].encode(): field for field in scalars},
        }
        self._cut = re.compile(b"|".join(re.escape(marker) for marker in self._names))

    def render(self, answer: Answer) -> bytes:
        """The bytes format of an answer's reply.

        Raises `ValueError` when the gaps are not where they were in the first one.
        """
        body = orjson.dumps(self._build(answer, self._markers)).replace(b"%", b"%%")
        order = tuple(self._names[match.group()] for match in self._cut.finditer(body))
        if not self.order:
            self.order = order
        if order != self.order:
            raise ValueError(f"{self.name}: the gaps are {order}, not {self.order}")
        return self._cut.sub(b"%b", body)
