"""What lies in Redis: heads, tags, lives, limits, and what happens when somebody else wrote there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, strategies as st

from tests.redis_server import RedisServer
from tilores_core import CacheEntry
from tilores_core.testing import eventually
from tilores_plugins.cache.redis.entry import TAGS_PEEK, carries, pack, unpack
from tilores_plugins.cache.redis.tier import RedisTier

MakeTier = Callable[..., RedisTier]
TAG = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
KEY = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=200)


def entry(value: bytes = b"value", *tags: str, seconds: float = 60.0) -> CacheEntry:
    return CacheEntry(value, time.time() + seconds, tags)


@given(key=KEY, value=st.binary(max_size=300), end=st.floats(0, 4e9), tags=st.lists(TAG, max_size=5))
def test_an_entry_survives_packing(key: str, value: bytes, end: float, tags: list[str]) -> None:
    stored = CacheEntry(value, end, tuple(tags))
    raw = pack(key, stored)
    assert unpack(key, raw) == stored
    assert all(carries(raw[:TAGS_PEEK], tag) for tag in tags)
    assert not carries(raw, "another tag that is not among them")


@given(value=st.binary(max_size=60), tags=st.lists(TAG, max_size=2), data=st.data())
def test_changed_bytes_are_no_entry(value: bytes, tags: list[str], data: st.DataObject) -> None:
    raw = bytearray(pack("answers:a", CacheEntry(value, 1.0, tuple(tags))))
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= data.draw(st.integers(1, 255))
    assert unpack("answers:a", bytes(raw)) is None
    assert unpack("answers:a", bytes(raw[:at])) is None


def test_an_entry_under_another_key_is_none() -> None:
    assert unpack("answers:b", pack("answers:a", entry())) is None


@given(st.binary(max_size=60))
def test_any_bytes_can_be_looked_at(raw: bytes) -> None:
    assert unpack("answers:a", raw) is None
    carries(raw, "tag")


def test_tags_too_long_to_see_count_as_carried() -> None:
    assert carries(pack("answers:a", entry(b"", "x" * TAGS_PEEK))[:TAGS_PEEK], "other")


async def test_damaged_values_are_misses(server: RedisServer, make_tier: MakeTier) -> None:
    tier = make_tier(server.url)
    await tier.set_many({f"answers:{name}": entry(name.encode(), "tag") for name in "abcd"})
    server.run("SETRANGE", "tilores:entry:answers:a", 30, "!")
    server.run("APPEND", "tilores:entry:answers:b", "more")
    server.run("SET", "tilores:entry:answers:c", server.run("GETRANGE", "tilores:entry:answers:c", 0, 12))
    assert set(await tier.get_many([f"answers:{name}" for name in "abcd"])) == {"answers:d"}
    assert (await tier.stats()).extra["damaged"] == 3
    await tier.set_many({"answers:a": entry(b"whole")})
    assert (await tier.get_many(["answers:a"]))["answers:a"].value == b"whole"


async def test_keys_of_another_type(server: RedisServer, make_tier: MakeTier) -> None:
    tier = make_tier(server.url)
    server.run("LPUSH", "tilores:entry:answers:a", "x")
    server.run("SET", "tilores:tag:one", "x")
    assert await tier.get_many(["answers:a"]) == {}
    await tier.set_many({"answers:a": entry(b"new", "one")})
    assert (await tier.get_many(["answers:a"]))["answers:a"].value == b"new"
    server.run("LPUSH", "tilores:entry:answers:b", "x")
    server.run("ZADD", "tilores:tag:one", 9e12, "tilores:entry:answers:b")
    assert await tier.delete_tag("one") == 2
    assert server.run("DBSIZE") == 0


async def test_a_lost_index_is_made_good(server: RedisServer, make_tier: MakeTier) -> None:
    tier = make_tier(server.url)
    await tier.set_many({f"answers:{n}": entry(b"v", "even" if n % 2 == 0 else "odd") for n in range(40)})
    server.run("SET", "tilores:tag:even", "not an index")
    assert await tier.delete_tag("even") == 20
    assert len(await tier.get_many([f"answers:{n}" for n in range(40)])) == 20


async def test_what_redis_evicted_from_the_index_is_found_all_the_same(
    server: RedisServer, make_tier: MakeTier
) -> None:
    tier = make_tier(server.url)
    server.run("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    await tier.set_many({f"answers:{n}": entry(bytes(2000), "customer") for n in range(200)})
    limit = int(server.run("INFO")["used_memory"]) - 20_000
    server.run("CONFIG", "SET", "maxmemory", limit)
    await tier.set_many({"answers:more": entry()})
    server.run("CONFIG", "SET", "maxmemory", 0)
    assert int(server.run("INFO")["evicted_keys"]) > 0
    server.run("UNLINK", "tilores:tag:customer")
    there = len(await tier.get_many([f"answers:{n}" for n in range(200)]))
    assert there > 0
    assert await tier.delete_tag("customer") == there
    assert await tier.get_many([f"answers:{n}" for n in range(200)]) == {}


async def test_an_index_lives_as_long_as_what_it_lists_and_does_not_grow(
    server: RedisServer, make_tier: MakeTier
) -> None:
    tier = make_tier(server.url)
    await tier.set_many({"answers:long": entry(b"v", "tag", seconds=500)})
    await tier.set_many({f"answers:{n}": entry(b"v", "tag", seconds=0.3) for n in range(20)})
    assert server.run("PTTL", "tilores:tag:tag") > 400_000

    async def only_two_are_listed() -> bool:
        await tier.set_many({"answers:more": entry(b"v", "tag")})
        return bool(server.run("ZCARD", "tilores:tag:tag") == 2)

    await eventually(only_two_are_listed)  # Redis has a clock of its own
    assert await tier.delete_tag("tag") == 2
    assert server.run("EXISTS", "tilores:tag:tag") == 0


async def test_a_tag_with_many_entries(server: RedisServer, make_tier: MakeTier) -> None:
    tier = make_tier(server.url)
    for start in range(0, 3000, 500):
        await tier.set_many({f"answers:{n}": entry(b"v", "tag") for n in range(start, start + 500)})
    await tier.set_many({f"answers:{n}": entry(b"v", "other") for n in range(0, 3000, 3)})
    assert await tier.delete_tag("tag") == 2000
    assert await tier.delete_tag("other") == 1000


async def test_deleting_a_tag_while_others_write(server: RedisServer, make_tier: MakeTier) -> None:
    writer, remover = make_tier(server.url), make_tier(server.url)
    going = True

    async def write() -> None:
        turn = 0
        while going:
            turn += 1
            await writer.set_many({f"answers:{n}": entry(b"%d" % turn, "tag") for n in range(50)})

    writing = [asyncio.create_task(write()) for _ in range(3)]
    for _ in range(30):
        await remover.delete_tag("tag")
    going = False
    await asyncio.gather(*writing)
    await remover.delete_tag("tag")
    assert await remover.get_many([f"answers:{n}" for n in range(50)]) == {}


async def test_the_longest_life_is_the_tiers_and_the_end_stays_as_given(
    server: RedisServer, make_tier: MakeTier
) -> None:
    tier = make_tier(server.url, ttl_seconds=100)
    stored = entry(b"v", "tag", seconds=100_000)
    await tier.set_many({"answers:a": stored, "answers:b": CacheEntry(b"v", float("inf"))})
    assert (await tier.get_many(["answers:a"]))["answers:a"] == stored
    for key in ("tilores:entry:answers:a", "tilores:entry:answers:b", "tilores:tag:tag"):
        assert 90_000 < server.run("PTTL", key) <= 100_001
    await tier.set_many({"answers:a": CacheEntry(b"v", float("nan"))})
    assert await tier.get_many(["answers:a"]) == {}


async def test_a_value_of_50_mb_is_not_sent(server: RedisServer, make_tier: MakeTier) -> None:
    tier = make_tier(server.url)
    await tier.set_many({"answers:a": entry(b"old"), "answers:b": entry(b"other")})
    before = int(server.run("INFO")["total_net_input_bytes"])
    await tier.set_many({"answers:a": entry(bytes(50 * 1024 * 1024)), "answers:c": entry(b"small")})
    assert int(server.run("INFO")["total_net_input_bytes"]) - before < 10_000
    assert set(await tier.get_many(["answers:a", "answers:b", "answers:c"])) == {"answers:b", "answers:c"}
    assert (await tier.stats()).extra["oversized"] == 1


async def test_others_in_the_same_redis_are_left_alone(server: RedisServer, make_tier: MakeTier) -> None:
    server.run("MSET", "theirs", 1, "tilores", 1, "entry:answers:a", 1, "tilores:other", 1)
    ours, other = make_tier(server.url), make_tier(server.url, key_prefix="til[o]*:")
    await ours.set_many({"answers:a": entry(b"v", "tag")})
    await other.set_many({"answers:a": entry(b"other", "tag")})
    assert await other.clear() == 1
    assert await ours.clear("answers*") == 0
    assert await ours.clear("answers") == 1
    assert await ours.clear() == 0
    assert sorted(server.run("KEYS", "*")) == [b"entry:answers:a", b"theirs", b"tilores", b"tilores:other"]


async def test_reads_at_one_time_share_a_round_trip(server: RedisServer, make_tier: MakeTier) -> None:
    tier = make_tier(server.url)
    await tier.set_many({f"answers:{n}": entry(b"%d" % n) for n in range(1000)})
    await tier.get_many(["answers:0"])
    server.run("CONFIG", "RESETSTAT")

    async def read(n: int) -> Any:
        keys = [f"answers:{n}", f"answers:{n + 1}"]
        return [found.value for found in (await tier.get_many(keys)).values()]

    got = await asyncio.gather(*(read(n) for n in range(0, 400, 2)))
    assert got == [[b"%d" % n, b"%d" % (n + 1)] for n in range(0, 400, 2)]
    assert server.run("INFO", "commandstats")["cmdstat_mget"]["calls"] <= 3
    everything = await tier.get_many([f"answers:{n}" for n in range(1000)])
    assert [found.value for found in everything.values()] == [b"%d" % n for n in range(1000)]


async def test_three_connections_whatever_the_load(server: RedisServer, make_tier: MakeTier) -> None:
    tier = make_tier(server.url)
    await asyncio.gather(
        *(tier.set_many({f"answers:{n}": entry()}) for n in range(100)),
        *(tier.get_many([f"answers:{n}"]) for n in range(100)),
    )
    assert int(server.run("INFO")["connected_clients"]) <= 3  # two of ours and the one that asks


async def test_stats(server: RedisServer, make_tier: MakeTier) -> None:
    tier = make_tier(server.url)
    await tier.set_many({"answers:a": entry()})
    await tier.get_many(["answers:a", "answers:b"])
    stats = await tier.stats()
    assert (stats.hits, stats.misses, stats.errors, stats.entries) == (1, 1, 0, None)
    assert stats.bytes is not None
    assert stats.extra["connected"] is True
    assert stats.extra["batch_avg"] == 2.0
    assert stats.extra["server_keys"] == 1
    assert stats.extra["server_version"].split(".")[0].isdigit()


async def test_a_message_too_long_is_refused(server: RedisServer, make_tier: MakeTier) -> None:
    tier = make_tier(server.url, max_value_bytes=100)
    with pytest.raises(Exception, match="max_value_bytes"):
        await tier.publish(bytes(101))
