"""Replies kept as bytes, with gaps for the values of each request.

A reply is rendered once per stored answer and protocol, with markers in place of the values that differ from request
to request (run id, time, tier, age, latency). The markers become the gaps of a bytes format; serving a hit is then
one formatting of bytes by bytes, and nothing is serialised.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from typing import Any, NamedTuple

import orjson

from tilores_core.contracts import Answer

# An answer cannot contain a marker, by chance or by malice: nothing outside this process knows it.
_NONCE = secrets.token_hex(8)


class ReplyValues(NamedTuple):
    """What differs between the replies that are made of one stored answer; in a template, markers.

    `id`: the run's id in LangServe's protocol, the completion's in OpenAI's, whose replies have `created` (seconds
    since the epoch) too. `age_s` is in seconds, `latency_ms` in milliseconds.
    """

    id: Any
    tier: Any
    age_s: Any
    stale: Any
    latency_ms: Any
    cost: Any
    created: Any = None

    @classmethod
    def of(cls, answer: Answer, id: str, latency_ms: float | None, created: int | None = None) -> ReplyValues:
        """The values for an answer that was made now, or read from any tier."""
        age_s = round(answer.age, 3)
        return cls(id, answer.cache_tier, age_s, answer.stale, latency_ms, answer.cost, created)


_STRINGS = ("id", "tier")  # inside JSON strings, or strings; the others are JSON numbers or booleans


class ResponseTemplate:
    """How the replies of one protocol are cut.

    `build`: the reply as a JSON value. `order`: the names of `ReplyValues` in the order of their gaps; a name may
    have several.
    """

    def __init__(self, name: str, build: Callable[[Answer, ReplyValues], object]) -> None:
        self.name = name
        self.order: tuple[str, ...] = ()
        self._build = build
        markers = {field: f"@{_NONCE}-{field}@" for field in ReplyValues._fields}
        self._markers = ReplyValues(**markers)
        self._names = {
            (marker if field in _STRINGS else f'"{marker}"').encode(): field for field, marker in markers.items()
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
