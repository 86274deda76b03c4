"""Rate limits that hold over all processes of a server."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from tilores_core.errors import RateLimitedError
from tilores_core.web.shared_counters import SharedCounters

_MOST_KNOWN_PEERS: Final = 10_000


class RateLimit:
    """So many requests in a time for each key, such as `600/minute`.

    Args:
        limit: in the notation of `limits`.
        name: of the file of counters.
        folder: which all processes of the server share; None for a server of one process.
    """

    def __init__(self, limit: str, name: str, folder: Path | None) -> None:
        from limits import parse  # costs a start 50 ms, and few need it at once

        self._item = parse(limit)
        self._limit = (self._item.amount, self._item.get_expiry())
        self._counters = SharedCounters(name, folder)

    def hit(self, key: str) -> bool:
        """Count a request. False, and not counted, when it is one too many."""
        return self._counters.hit(key, *self._limit)

    def is_used_up(self, key: str) -> bool:
        return self._counters.wait(key, *self._limit) > 0

    def error(self, key: str, what: str, fix: str | None = None) -> RateLimitedError:
        """What to raise for one too many; `what` is counted."""
        wait = self._counters.wait(key, *self._limit)
        return RateLimitedError(f"more than {self._item} {what}", retry_after=max(1.0, wait), fix=fix)


class FailedAuthentication:
    """The limit of failed authentication for each peer, which is the address of its socket: no header can change it.

    A peer that has used it up is refused before its key is looked at, so that guessing is slowed down; except with a
    key that it has used before, so that one client of a proxy cannot lock out the others.
    """

    def __init__(self, limit: str, folder: Path | None) -> None:
        self._text = limit
        self._folder = folder
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()

    @cached_property
    def _limit(self) -> RateLimit:
        return RateLimit(self._text, "failed-authentication", self._folder)

    def is_known(self, peer: str, name: str) -> bool:
        """Whether the peer has used the key of this name since the process started."""
        return (peer, name) in self._known

    def check(self, peer: str) -> None:
        """Raise `RateLimitedError` for a peer that has used up its limit."""
        network = _network(peer)
        if self._limit.is_used_up(network):
            raise self._limit.error(
                network,
                "without the right key from this address",
                "send the right key, after the time in Retry-After",
            )

    def record_failure(self, peer: str) -> None:
        self._limit.hit(_network(peer))

    def record_success(self, peer: str, name: str) -> None:
        self._known[peer, name] = None
        if len(self._known) > _MOST_KNOWN_PEERS:
            self._known.popitem(last=False)


def peer_of(scope: Mapping[str, Any]) -> str:
    """The address at the other end of the connection; empty for a Unix socket."""
    client = scope.get("client")
    return client[0] if client else ""


def _network(peer: str) -> str:
    """The address, or of IPv6 the network of 64 bits, all of which one client has."""
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return peer
    return str(ipaddress.ip_network((address, 64), strict=False)) if address.version == 6 else peer
