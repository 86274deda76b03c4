"""The cache's decisions, as functions of times: no I/O, no clock. Times in seconds since the epoch."""

from __future__ import annotations

from enum import Enum
from math import inf
from typing import NamedTuple, Protocol

NO_CACHE = -1.0
"""The demand of a request that wants nothing stored: stricter than any age."""


class Life(NamedTuple):
    """Made at `stored_at`, fresh until `fresh_until`, to be had (stale) until `expires_at`."""

    stored_at: float
    fresh_until: float
    expires_at: float


class HasAge(Protocol):
    """Anything that says when it was made and how long it lives."""

    @property
    def stored_at(self) -> float: ...
    @property
    def fresh_until(self) -> float: ...
    @property
    def expires_at(self) -> float: ...


class Plan(Enum):
    """What to do about a request."""

    SERVE = "serve"
    SERVE_AND_REFRESH = "serve and refresh"
    MAKE = "make"


def life(stored_at: float, *, ttl: float, grace: float, jitter: float, roll: float) -> Life:
    """How long an entry lives. `roll` in [0, 1) shortens the ttl by up to `jitter` of it.

    Entries stored in one burst then do not all expire in one burst.
    """
    fresh_until = stored_at + ttl * (1.0 - jitter * roll)
    return Life(stored_at, fresh_until, fresh_until + grace)


def demand(max_age: float | None, no_cache: bool) -> float:
    """How old a value may be for this request: `inf` for any age, `NO_CACHE` for none that is stored."""
    if no_cache:
        return NO_CACHE
    return inf if max_age is None else max(0.0, max_age)


def satisfies(asked: float, found: HasAge, now: float) -> bool:
    """Is `found` young enough, and still alive?"""
    return found.expires_at > now and max(0.0, now - found.stored_at) <= asked


def decide(found: HasAge | None, *, asked: float, now: float) -> Plan:
    """Serve it, serve it and renew it behind the request, or make a new one first."""
    if found is None or not satisfies(asked, found, now):
        return Plan.MAKE
    return Plan.SERVE if now < found.fresh_until else Plan.SERVE_AND_REFRESH


def may_fall_back(found: HasAge | None, *, asked: float, now: float) -> bool:
    """May `found` be served, marked stale, because making a new one failed?

    Yes while it lives, even to a request that asked for a younger one: an older answer that says its age is of more
    use than an error. Never to a request that refused all that is stored.
    """
    return found is not None and asked != NO_CACHE and found.expires_at > now


def may_join(flying: float, asked: float) -> bool:
    """May a request with demand `asked` take the result of work begun for demand `flying`?

    Work for a stricter or equal demand gives a result that is young enough. `no_cache` joins none: what was
    begun before the request may have read what the request knows to be outdated.
    """
    return asked != NO_CACHE and flying <= asked


def newer(candidate: HasAge, held: HasAge | None) -> bool:
    """May `candidate` replace `held` in a tier above? An entry read below must not push out a younger one."""
    return held is None or candidate.stored_at >= held.stored_at
