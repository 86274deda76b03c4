"""Replies kept as bytes, cut where the values of each request go.

A reply is rendered once per stored answer and protocol, with markers in place of the values that differ from request
to request (run id, time, tier, age, latency). The markers become the gaps of a bytes format; serving a hit is then
one formatting of bytes by bytes, and nothing is serialised.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping, Sequence

import orjson

# A marker cannot be met in an answer, by chance or by malice: nobody outside this process knows it.
_NONCE = secrets.token_hex(8)


class ResponseTemplate:
    """How one protocol's reply is cut.

    `strings`: names of values that stand inside JSON strings; `scalars`: of values that are JSON numbers or booleans.
    `order`: the names in the order of their gaps; a name may have several.
    """

    def __init__(self, name: str, *, strings: Sequence[str], scalars: Sequence[str]) -> None:
        self.name = name
        self.order: tuple[str, ...] = ()
        self._markers: Mapping[str, str] = {field: f"@{_NONCE}-{field}@" for field in (*strings, *scalars)}
        self._names = {
            **{self._markers[field].encode(): field for field in strings},
            **{b'"%b"' % self._markers[field].encode(): field for field in scalars},
        }
        self._cut = re.compile(b"|".join(re.escape(marker) for marker in self._names))

    def template(self, render: Callable[[Mapping[str, str]], object]) -> bytes:
        """The bytes format of a reply. `render` makes the reply from name -> value, and is given markers.

        Raises `ValueError` when the gaps are not where they were in the first template.
        """
        body = orjson.dumps(render(self._markers)).replace(b"%", b"%%")
        order = tuple(self._names[match.group()] for match in self._cut.finditer(body))
        if not self.order:
            self.order = order
        if order != self.order:
            raise ValueError(f"{self.name}: the gaps are {order}, not {self.order}")
        return self._cut.sub(b"%b", body)
