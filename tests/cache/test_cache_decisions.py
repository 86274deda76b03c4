"""Decisions over a clock that is passed in: lives, demands, the breaker, the log of invalidations."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given, strategies as st
from msgspec.structs import replace

from tilores_core.cache import policy
from tilores_core.cache.coherence import RecentStores
from tilores_core.cache.invalidation import (
    EVERYTHING,
    Invalidation,
    InvalidationLog,
    from_message,
    invalidation,
    to_messages,
)
from tilores_core.cache.policy import NO_CACHE, Life, Plan
from tilores_core.cache.values import HEADER_BYTES, hit_of, pack, to_memory_hit, unpack
from tilores_core.contracts import CacheEntry
from tilores_core.resilience import CircuitBreaker
from tilores_core.testing.waiting import Clock

seconds = st.floats(0, 1e6)
LIFE = Life(stored_at=100.0, fresh_until=200.0, expires_at=250.0)


@given(
    stored=st.floats(0, 2e9),
    ttl=st.floats(0.01, 1e6),
    grace=seconds,
    jitter=st.floats(0, 0.99),
    roll=st.floats(0, 0.999),
)
def test_a_life_is_shortened_by_the_jitter_and_no_more(
    stored: float, ttl: float, grace: float, jitter: float, roll: float
) -> None:
    made = policy.life(stored, ttl=ttl, grace=grace, jitter=jitter, roll=roll)
    assert made.stored_at == stored
    assert stored + ttl * (1 - jitter) - 1e-3 <= made.fresh_until <= stored + ttl
    assert made.expires_at == made.fresh_until + grace


@pytest.mark.parametrize(
    ("now", "max_age", "no_cache", "plan"),
    [
        (100.0, None, False, Plan.SERVE),
        (199.9, None, False, Plan.SERVE),
        (200.0, None, False, Plan.SERVE_AND_REFRESH),
        (249.9, None, False, Plan.SERVE_AND_REFRESH),
        (250.0, None, False, Plan.MAKE),
        (150.0, 50.0, False, Plan.SERVE),
        (150.1, 50.0, False, Plan.MAKE),
        (220.0, 130.0, False, Plan.SERVE_AND_REFRESH),
        (100.0, 0.0, False, Plan.SERVE),
        (100.1, 0.0, False, Plan.MAKE),
        (100.0, -5.0, False, Plan.SERVE),
        (90.0, 0.0, False, Plan.SERVE),  # a clock behind the one that stored it: the age is 0
        (100.0, None, True, Plan.MAKE),
        (100.0, 1e9, True, Plan.MAKE),
    ],
)
def test_what_to_do_about_an_entry(now: float, max_age: float | None, no_cache: bool, plan: Plan) -> None:
    assert policy.decide(LIFE, asked=policy.demand(max_age, no_cache), now=now) is plan


def test_without_an_entry_one_is_made() -> None:
    assert policy.decide(None, asked=inf, now=0.0) is Plan.MAKE


def test_falling_back() -> None:
    assert policy.may_fall_back(LIFE, asked=1.0, now=240.0)
    assert not policy.may_fall_back(LIFE, asked=inf, now=250.0)
    assert not policy.may_fall_back(LIFE, asked=NO_CACHE, now=100.0)
    assert not policy.may_fall_back(None, asked=inf, now=0.0)


@given(st.floats(0, 1e6) | st.just(inf) | st.just(NO_CACHE), st.floats(0, 1e6) | st.just(inf))
def test_joining_never_gives_less_than_was_asked_for(flying: float, asked: float) -> None:
    assert policy.may_join(flying, asked) == (flying <= asked)
    assert not policy.may_join(flying, NO_CACHE)


# --- the breaker ---


def test_it_opens_after_failures_in_a_row_and_closes_after_one_success() -> None:
    clock = Clock(0.0)
    breaker = CircuitBreaker(failures=3, pause=1.0, clock=clock)
    for _ in range(2):
        assert breaker.allow()
        breaker.failure()
    assert breaker.allow()
    breaker.success()
    for _ in range(3):
        assert breaker.state == "closed"
        assert breaker.allow()
        breaker.failure()
    assert breaker.state == "open"
    assert not breaker.allow()
    clock.now = 0.99
    assert not breaker.allow()
    clock.now = 1.0
    assert breaker.state == "half_open"  # type: ignore[comparison-overlap]
    assert breaker.allow()
    assert not breaker.allow(), "one at a time"
    breaker.failure()
    assert breaker.state == "open"
    clock.now = 1.99
    assert not breaker.allow()
    clock.now = 2.0
    assert breaker.allow()
    breaker.success()
    assert breaker.state == "closed"
    assert breaker.opened == 1


def test_a_cancelled_try_lets_the_next_one_try() -> None:
    clock = Clock(0.0)
    breaker = CircuitBreaker(failures=1, pause=1.0, clock=clock)
    assert breaker.allow()
    breaker.failure()
    clock.now = 1.0
    assert breaker.allow()
    breaker.abandon()
    assert breaker.allow()


def test_calls_from_before_it_opened_do_not_close_it() -> None:
    breaker = CircuitBreaker(failures=1, clock=Clock(0.0))
    assert breaker.allow()
    assert breaker.allow()
    breaker.failure()
    breaker.success()
    assert breaker.state == "open"


@pytest.mark.parametrize("wrong", [{"failures": 0}, {"pause": 0.0}])
def test_a_breaker_refuses(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="breaker"):
        CircuitBreaker(**wrong)  # type: ignore[arg-type]


# --- invalidations ---


def test_what_an_invalidation_removes() -> None:
    what = invalidation(["answers:a"], ["one"], "schemas")
    assert what.matches("answers:a", ())
    assert what.matches("answers:b", ("one", "two"))
    assert what.matches("schemas:b", ())
    assert what.matches("wire:openai:answers:a", ())
    assert not what.matches("answers:b", ("two",))
    assert what.matches("answers:b", None), "its tags are not known yet"
    assert not invalidation(["answers:a"]).matches("answers:b", None)
    assert invalidation(namespace="answers").matches("wire:openai:answers:z", ())
    assert EVERYTHING.matches("anything:a", ())
    assert not invalidation()


def record(log: InvalidationLog, what: Invalidation) -> None:
    log.begin(what)
    log.end(what)


def test_the_log_knows_what_came_after_a_mark() -> None:
    log = InvalidationLog(size=3)
    before = log.revision()
    assert not log.has_invalidated(before, "answers:a", ("one",))
    record(log, invalidation(tags=["one"]))
    assert log.has_invalidated(before, "answers:a", ("one",))
    assert not log.has_invalidated(before, "answers:a", ("two",))
    assert not log.has_invalidated(log.revision(), "answers:a", ("one",))


def test_while_it_is_under_way_nothing_it_removes_may_be_stored() -> None:
    log = InvalidationLog()
    what = invalidation(["answers:a"])
    log.begin(what)
    mark = log.revision()
    assert log.has_invalidated(mark, "answers:a", ())
    assert not log.has_invalidated(mark, "answers:b", ())
    log.end(what)
    assert log.has_invalidated(mark, "answers:a", ()), "it may have been read before it was removed"
    assert not log.has_invalidated(log.revision(), "answers:a", ())


def test_a_mark_older_than_the_log_counts_as_touched() -> None:
    log = InvalidationLog(size=3)
    mark = log.revision()
    for number in range(3):
        record(log, invalidation([f"answers:{number}"]))
    assert not log.has_invalidated(mark, "answers:x", ())
    record(log, invalidation(["answers:3"]))
    assert log.has_invalidated(mark, "answers:x", ())


names = st.frozensets(st.text(st.characters(exclude_categories=["Cs"]), max_size=10), max_size=5)


@given(names, names, names)
def test_messages_say_it_all(keys: frozenset[str], tags: frozenset[str], namespaces: frozenset[str]) -> None:
    what = Invalidation(keys, tags, namespaces)
    parts = [from_message(message) for message in to_messages("me", what)]
    assert all(sender == "me" for sender, _ in parts)
    assert frozenset().union(*(part.keys for _, part in parts)) == keys
    assert frozenset().union(*(part.tags for _, part in parts)) == tags
    assert frozenset().union(*(part.namespaces for _, part in parts)) == namespaces
    assert not any(part.everything for _, part in parts)


def test_long_lists_go_in_several_messages() -> None:
    messages = to_messages("me", invalidation([f"answers:{number:064}" for number in range(1200)]))
    assert len(messages) == 3
    assert from_message(to_messages("me", EVERYTHING)[0]) == ("me", EVERYTHING)


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b"{}", b'{"v":2,"from":"a"}', b'{"v":1}', b'{"v":1,"from":"a","keys":[1]}', b"\xff"]
)
def test_strange_messages_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - orjson's own message among them
        from_message(data)


def test_recent_stores_are_forgotten_after_a_while() -> None:
    clock = Clock(0.0)
    recent = RecentStores(clock)
    recent.add("answers:a", ("one",))
    clock.now = 4.0
    recent.add("answers:b", ("one", "two"))
    assert recent.hit_by(invalidation(tags=["one"])) == {"answers:a", "answers:b"}
    clock.now = 6.0
    assert recent.hit_by(invalidation(tags=["one"])) == {"answers:b"}


# --- entries ---


@given(st.binary(max_size=100), st.floats(0, 2e9), st.floats(0, 2e9))
def test_an_entry_holds_its_life(value: bytes, stored_at: float, fresh_until: float) -> None:
    hit = hit_of(value, "l2", Life(stored_at, fresh_until, 3e9), ("one",))
    entry = pack("answers:a", hit)
    assert unpack("answers:a", entry, "l2") == hit
    assert (entry.expires_at, entry.tags) == (3e9, ("one",))
    assert len(entry.value) == len(value) + HEADER_BYTES
    assert unpack("answers:b", entry, "l2") is None, "stored under another key"


@given(st.data())
def test_damaged_values_are_found(data: st.DataObject) -> None:
    entry = pack("answers:a", hit_of(b"the value", "miss", LIFE, ()))
    damaged = bytearray(entry.value)
    place = data.draw(st.integers(0, 4) | st.integers(HEADER_BYTES, len(damaged) - 1))
    damaged[place] ^= data.draw(st.integers(1, 255))
    assert unpack("answers:a", CacheEntry(bytes(damaged), 1.0), "l2") is None
    cut = data.draw(st.integers(0, len(damaged) - 1))
    assert unpack("answers:a", CacheEntry(entry.value[:cut], 1.0), "l2") is None


def test_an_age_is_never_negative() -> None:
    hit = hit_of(b"", "l1", Life(100.0, 200.0, 300.0), ())
    assert hit.age(150.0) == 50.0
    assert hit.age(50.0) == 0.0
    assert not hit.stale(199.0)
    assert hit.stale(200.0)


def test_values_are_kept_in_their_size() -> None:
    hit = hit_of(b"x" * 1000, "miss", LIFE, ("one",))
    copy = to_memory_hit(hit, "l1")
    assert copy == replace(hit, tier="l1")
    assert copy.value is not hit.value
