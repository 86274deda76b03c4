"""What can go wrong between a client and the GraphQL endpoint, switched on by the test."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Literal

from aiohttp import web

from tests.tilores_instance.replies import cut_short, dropped, json_reply

Kind = Literal["status", "reset", "hang", "cut", "garbage"]

_GATEWAY_MESSAGES = {
    403: "Forbidden",
    429: "Too Many Requests",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}


@dataclass(slots=True)
class Fault:
    """`left` requests whose document contains `when` meet it; None is all of them until `clear()`."""

    kind: Kind
    left: int | None
    when: str
    status: int = 0
    retry_after: float | None = None
    body: bytes | None = None


@dataclass(slots=True)
class Faults:
    """`cold_start_seconds` is added whenever more calls are under way than ever since `go_cold()`: each needs a
    machine of its own, and a new machine starts slowly. After `gateway_seconds` the gateway gives up with 503."""

    latency_seconds: float = 0.0
    cold_start_seconds: float = 0.0
    gateway_seconds: float = 30.0
    broken_fields: dict[tuple[str, str], str] = field(default_factory=dict)
    _pending: list[Fault] = field(default_factory=list)
    _warm: int = 0
    _release: asyncio.Event = field(default_factory=asyncio.Event)

    def fail(
        self,
        status: int = 503,
        *,
        times: int | None = 1,
        retry_after: float | None = None,
        body: bytes | None = None,
        when: str = "",
    ) -> None:
        """The next `times` requests get this status, with the gateway's usual body when none is given."""
        self._pending.append(Fault("status", times, when, status, retry_after, body))

    def reset(self, *, times: int | None = 1, when: str = "") -> None:
        """The connection is reset without an answer."""
        self._pending.append(Fault("reset", times, when))

    def hang(self, *, times: int | None = 1, when: str = "") -> None:
        """No answer until `clear()`, the gateway's time-out or the end of the instance."""
        self._pending.append(Fault("hang", times, when))

    def cut(self, *, times: int | None = 1, when: str = "") -> None:
        """Half an answer, then a reset."""
        self._pending.append(Fault("cut", times, when))

    def garbage(self, *, times: int | None = 1, when: str = "") -> None:
        """200 with a body that is no JSON."""
        self._pending.append(Fault("garbage", times, when))

    def break_field(self, type_name: str, field_name: str, message: str = "internal error") -> None:
        """The resolver of this field raises until `clear()`."""
        self.broken_fields[type_name, field_name] = message

    def go_cold(self) -> None:
        self._warm = 0

    def clear(self) -> None:
        """Everything is well again, for requests that hang too."""
        self._pending.clear()
        self.broken_fields.clear()
        self.latency_seconds = self.cold_start_seconds = 0.0
        self._release.set()
        self._release = asyncio.Event()

    def delay(self, in_flight: int) -> float:
        """Seconds that this request waits before it is executed."""
        if in_flight <= self._warm:
            return self.latency_seconds
        self._warm = in_flight
        return self.latency_seconds + self.cold_start_seconds

    def take(self, document: str) -> Fault | None:
        """The fault that this request meets, which is used up by it."""
        for fault in self._pending:
            if fault.when in document:
                if fault.left is not None:
                    fault.left -= 1
                    if fault.left <= 0:
                        self._pending.remove(fault)
                return fault
        return None

    async def play(self, fault: Fault, request: web.BaseRequest) -> web.StreamResponse:
        """The answer, if it may be called so, to a request that meets the fault."""
        if fault.kind == "status":
            headers = {} if fault.retry_after is None else {"Retry-After": f"{fault.retry_after:g}"}
            if fault.body is not None:
                return web.Response(status=fault.status, body=fault.body, headers=headers)
            message = _GATEWAY_MESSAGES.get(fault.status, "Error")
            return json_reply(fault.status, {"message": message}, headers)
        if fault.kind == "garbage":
            return web.Response(body=b"<html>maintenance</html>", content_type="text/html")
        if fault.kind == "cut":
            return await cut_short(request)
        if fault.kind == "hang":
            try:
                await asyncio.wait_for(self._release.wait(), self.gateway_seconds)
            except TimeoutError:
                return json_reply(503, {"message": "Service Unavailable"})
        return dropped(request)
