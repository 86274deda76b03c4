"""What every cache tier must do.

    import pytest_asyncio
    from tilores_core.testing.cache import CacheTierSuite

    class TestAcmeTier(CacheTierSuite):
        supports_lease = True

        @pytest_asyncio.fixture
        async def tier(self):
            tier = AcmeTier(...)
            yield tier
            await tier.aclose()

The tier must be empty at the start of each test. A flag says that the tier has that ability; the tests of an ability
it does not have are skipped. A tier that several processes share overrides `other_tier` as well, with a second
connection to the same store. Lives in these tests are real seconds, none longer than `moment` to wait for.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any, ClassVar

import pytest

from tilores_core.contracts import (
    CacheEntry,
    CacheTier,
    SupportsBroadcast,
    SupportsLease,
    SupportsPeek,
    SupportsTagKeys,
    TierStats,
)
from tilores_core.testing.waiting import eventually

_LONG = 60.0
_HEX = "0123456789abcdef" * 4
_PATIENCE = 60.0


def entry(value: bytes = b"value", *tags: str, seconds: float = _LONG) -> CacheEntry:
    """An entry that lives for `seconds` from now."""
    return CacheEntry(value, time.time() + seconds, tags)


def same(found: CacheEntry | None, stored: CacheEntry) -> bool:
    """Bytes and tags equal, the end of life to the millisecond."""
    return (
        found is not None
        and type(found.value) is bytes
        and found.value == stored.value
        and tuple(found.tags) == stored.tags
        and abs(found.expires_at - stored.expires_at) < 0.0015
    )


class CacheTierSuite:
    """Subclass it, override `tier`, set the flags."""

    supports_peek: ClassVar[bool] = False
    supports_lease: ClassVar[bool] = False
    supports_broadcast: ClassVar[bool] = False
    supports_sharing: ClassVar[bool] = False
    """Several connections see the same entries: `other_tier` is overridden."""
    largest_value: ClassVar[int] = 1024 * 1024
    """Bytes of a value that the tier must still take."""
    moment: ClassVar[float] = 0.3
    """Seconds of the short lives in these tests; more for a tier with a coarse clock."""

    @pytest.fixture
    def tier(self) -> Any:
        raise NotImplementedError("override the fixture `tier` with the tier to be tested")

    @pytest.fixture
    def other_tier(self) -> Any:
        pytest.skip("other_tier is not overridden: nothing is shared")

    # --- entries ---

    async def test_absent_keys_are_absent_from_the_answer(self, tier: CacheTier) -> None:
        assert dict(await tier.get_many(["answers:none"])) == {}
        assert dict(await tier.get_many([])) == {}

    async def test_an_entry_comes_back_as_it_was_given(self, tier: CacheTier) -> None:
        stored = entry(b"\x00\xff bytes \r\n", "tag-1", "tag-2")
        await tier.set_many({"answers:a": stored})
        found = await tier.get_many(["answers:a", "answers:b"])
        assert list(found) == ["answers:a"]
        assert same(found["answers:a"], stored)

    @pytest.mark.parametrize("value", [b"", b"\x00", bytes(range(256)) * 40, b"nil", b"None", b"-1"])
    async def test_any_bytes_are_kept(self, tier: CacheTier, value: bytes) -> None:
        await tier.set_many({"answers:a": entry(value)})
        assert (await tier.get_many(["answers:a"]))["answers:a"].value == value

    async def test_many_entries_at_once(self, tier: CacheTier) -> None:
        stored = {f"answers:{number}": entry(b"%d" % number, f"tag-{number % 3}") for number in range(200)}
        await tier.set_many(stored)
        found = await tier.get_many([*stored, "answers:none"])
        assert set(found) == set(stored)
        assert all(same(found[key], stored[key]) for key in stored)

    async def test_a_key_asked_for_twice_is_one_key(self, tier: CacheTier) -> None:
        await tier.set_many({"answers:a": entry()})
        assert list(await tier.get_many(["answers:a", "answers:a"])) == ["answers:a"]

    async def test_storing_again_replaces_value_life_and_tags(self, tier: CacheTier) -> None:
        await tier.set_many({"answers:a": entry(b"old", "old-tag", seconds=self.moment)})
        new = entry(b"new", "new-tag")
        await tier.set_many({"answers:a": new})
        assert await tier.delete_tag("old-tag") == 0
        await asyncio.sleep(self.moment * 1.5)
        assert same((await tier.get_many(["answers:a"]))["answers:a"], new)
        assert await tier.delete_tag("new-tag") == 1

    async def test_the_longest_key_and_many_tags(self, tier: CacheTier) -> None:
        key = ("wire:openai:answers:" + _HEX * 3)[:200]
        stored = entry(b"v", *(f"record:{number}:{_HEX}" for number in range(30)))
        await tier.set_many({key: stored})
        assert same((await tier.get_many([key]))[key], stored)

    async def test_tags_may_hold_any_text(self, tier: CacheTier) -> None:
        tags = ("crm:Zoë 1", "a b", "x*y", "{z}", "täg\n")
        await tier.set_many({"answers:a": entry(b"v", *tags)})
        assert tuple((await tier.get_many(["answers:a"]))["answers:a"].tags) == tags
        assert await tier.delete_tag("x*") == 0
        assert await tier.delete_tag("crm:Zoë 1") == 1

    async def test_a_large_value(self, tier: CacheTier) -> None:
        value = bytes(range(256)) * (self.largest_value // 256)
        await tier.set_many({"answers:a": entry(value)})
        assert (await tier.get_many(["answers:a"]))["answers:a"].value == value

    async def test_a_value_too_large_is_dropped_and_not_the_old_one_served(self, tier: CacheTier) -> None:
        await tier.set_many({"answers:a": entry(b"old"), "answers:b": entry(b"other")})
        await tier.set_many({"answers:a": entry(bytes(50 * 1024 * 1024))})
        found = await tier.get_many(["answers:a", "answers:b"])
        assert "answers:a" not in found or len(found["answers:a"].value) == 50 * 1024 * 1024
        assert found["answers:b"].value == b"other"

    # --- life ---

    async def test_an_expired_entry_is_never_returned(self, tier: CacheTier) -> None:
        short = entry(seconds=self.moment)
        await tier.set_many({"answers:a": short, "answers:b": entry()})
        found = set(await tier.get_many(["answers:a", "answers:b"]))
        assert found == {"answers:a", "answers:b"} or time.time() >= short.expires_at
        await asyncio.sleep(self.moment * 1.5)
        assert set(await tier.get_many(["answers:a", "answers:b"])) == {"answers:b"}

    async def test_an_entry_already_expired_is_dropped_and_replaces(self, tier: CacheTier) -> None:
        await tier.set_many({"answers:a": entry(b"old")})
        await tier.set_many({"answers:a": entry(b"new", seconds=-1.0)})
        assert dict(await tier.get_many(["answers:a"])) == {}

    # --- removal ---

    async def test_delete_says_how_many_were_there(self, tier: CacheTier) -> None:
        await tier.set_many({"answers:a": entry(), "answers:b": entry()})
        assert await tier.delete(["answers:a", "answers:none"]) == 1
        assert await tier.delete(["answers:a"]) == 0
        assert await tier.delete([]) == 0
        assert set(await tier.get_many(["answers:a", "answers:b"])) == {"answers:b"}

    async def test_delete_tag_removes_all_that_carry_it_and_no_others(self, tier: CacheTier) -> None:
        await tier.set_many(
            {
                "answers:a": entry(b"a", "one", "two"),
                "customers:b": entry(b"b", "two"),
                "answers:c": entry(b"c", "three"),
                "answers:d": entry(b"d"),
            }
        )
        assert await tier.delete_tag("two") == 2
        assert await tier.delete_tag("two") == 0
        assert await tier.delete_tag("one") == 0
        assert set(await tier.get_many(["answers:a", "customers:b", "answers:c", "answers:d"])) == {
            "answers:c",
            "answers:d",
        }

    async def test_tag_keys_lists_what_carries_the_tag(self, tier: CacheTier) -> None:
        if not isinstance(tier, SupportsTagKeys):
            pytest.skip("no tag keys")
        await tier.set_many(
            {
                "answers:a": entry(b"a", "one", "two"),
                "customers:b": entry(b"b", "two"),
                "answers:c": entry(b"c", "two", seconds=self.moment),
                "answers:d": entry(b"d", "two"),
            }
        )
        await tier.set_many({"answers:d": entry(b"d", "three")})

        async def has_expired() -> bool:
            return sorted(await tier.tag_keys("two")) == ["answers:a", "customers:b"]

        await eventually(has_expired, "tag_keys lists what has expired, or not what carries the tag")
        assert list(await tier.tag_keys("none")) == []
        await tier.delete_tag("two")
        assert list(await tier.tag_keys("two")) == []

    async def test_a_tag_is_usable_again_after_its_removal(self, tier: CacheTier) -> None:
        for _ in range(2):
            await tier.set_many({"answers:a": entry(b"a", "one")})
            assert await tier.delete_tag("one") == 1

    async def test_clear_removes_a_namespace(self, tier: CacheTier) -> None:
        await tier.set_many(
            {"answers:a": entry(), "answers:b": entry(), "answersheet:a": entry(), "schemas:a": entry()}
        )
        assert await tier.clear("answers") == 2
        keys = ["answers:a", "answers:b", "answersheet:a", "schemas:a"]
        assert set(await tier.get_many(keys)) == {"answersheet:a", "schemas:a"}

    async def test_clear_removes_everything(self, tier: CacheTier) -> None:
        await tier.set_many({"answers:a": entry(b"a", "one"), "schemas:a": entry()})
        assert await tier.clear() == 2
        assert dict(await tier.get_many(["answers:a", "schemas:a"])) == {}
        assert await tier.delete_tag("one") == 0

    # --- behaviour ---

    async def test_concurrent_use(self, tier: CacheTier) -> None:
        async def work(number: int) -> None:
            key = f"answers:{number}"
            for turn in range(5):
                stored = entry(b"%d-%d" % (number, turn), "all", f"tag-{number}")
                await tier.set_many({key: stored})
                assert same((await tier.get_many([key])).get(key), stored)
            if number % 2:
                assert await tier.delete_tag(f"tag-{number}") == 1

        await asyncio.gather(*(work(number) for number in range(40)))
        assert len(await tier.get_many([f"answers:{number}" for number in range(40)])) == 20
        assert await tier.delete_tag("all") == 20

    async def test_stats_count(self, tier: CacheTier) -> None:
        before = await tier.stats()
        assert isinstance(before, TierStats)
        await tier.set_many({"answers:a": entry(b"x" * 100)})
        await tier.get_many(["answers:a", "answers:none"])
        after = await tier.stats()
        assert after.entries is None or after.entries == 1
        assert after.bytes is None or after.bytes >= 100
        assert after.errors == before.errors

    async def test_closing_twice_is_harmless(self, tier: CacheTier) -> None:
        await tier.aclose()
        await tier.aclose()

    # --- abilities ---

    async def test_flags_are_true(self, tier: CacheTier) -> None:
        assert isinstance(tier, SupportsPeek) == self.supports_peek
        assert isinstance(tier, SupportsLease) == self.supports_lease
        assert isinstance(tier, SupportsBroadcast) == self.supports_broadcast

    async def test_peek_sees_what_was_stored(self, tier: CacheTier) -> None:
        if not isinstance(tier, SupportsPeek):
            pytest.skip("no peek")
        stored, put = entry(b"a", "one"), entry(b"b", "two")
        await tier.set_many({"answers:a": stored})
        tier.put("answers:b", put)
        assert same(tier.peek("answers:a"), stored)
        assert tier.peek("answers:b") is put
        assert same((await tier.get_many(["answers:b"]))["answers:b"], put)
        assert tier.peek("answers:none") is None
        assert await tier.delete_tag("two") == 1
        assert tier.peek("answers:b") is None

    async def test_peek_never_sees_an_expired_entry(self, tier: CacheTier) -> None:
        if not isinstance(tier, SupportsPeek):
            pytest.skip("no peek")
        tier.put("answers:a", entry(seconds=self.moment))
        tier.put("answers:b", entry(seconds=-1.0))
        assert tier.peek("answers:a") is not None
        assert tier.peek("answers:b") is None
        await asyncio.sleep(self.moment * 1.5)
        assert tier.peek("answers:a") is None

    async def test_a_lease_has_one_holder(self, tier: CacheTier) -> None:
        if not isinstance(tier, SupportsLease):
            pytest.skip("no lease")
        assert await tier.acquire("work", "first", _LONG)
        assert not await tier.acquire("work", "second", _LONG)
        assert await tier.acquire("work", "first", _LONG), "its holder renews it"
        assert await tier.acquire("other", "second", _LONG)
        await tier.release("work", "second")
        assert not await tier.acquire("work", "second", _LONG), "only its holder releases it"
        await tier.release("work", "first")
        assert await tier.acquire("work", "second", _LONG)

    async def test_a_lease_ends_by_itself(self, tier: CacheTier) -> None:
        if not isinstance(tier, SupportsLease):
            pytest.skip("no lease")
        assert await tier.acquire("work", "first", self.moment)
        await asyncio.sleep(self.moment * 1.5)
        assert await tier.acquire("work", "second", _LONG)
        await tier.release("work", "first")
        assert not await tier.acquire("work", "third", _LONG), "who lost it releases nothing"

    async def test_a_renewed_lease_lives_from_then(self, tier: CacheTier) -> None:
        if not isinstance(tier, SupportsLease):
            pytest.skip("no lease")
        assert await tier.acquire("work", "first", self.moment)
        assert await tier.acquire("work", "first", _LONG)
        await asyncio.sleep(self.moment * 1.5)
        assert not await tier.acquire("work", "second", _LONG)

    async def test_of_many_who_want_a_lease_one_gets_it(self, tier: CacheTier) -> None:
        if not isinstance(tier, SupportsLease):
            pytest.skip("no lease")
        got = await asyncio.gather(*(tier.acquire("work", f"holder-{number}", _LONG) for number in range(20)))
        assert sum(got) == 1

    async def test_others_see_what_was_stored_and_removed(self, tier: CacheTier, other_tier: CacheTier) -> None:
        stored = entry(b"a", "one")
        await tier.set_many({"answers:a": stored})
        assert same((await other_tier.get_many(["answers:a"]))["answers:a"], stored)
        assert await other_tier.delete_tag("one") == 1
        assert dict(await tier.get_many(["answers:a"])) == {}

    async def test_others_hear_messages(self, tier: CacheTier, other_tier: CacheTier) -> None:
        if not isinstance(tier, SupportsBroadcast) or not isinstance(other_tier, SupportsBroadcast):
            pytest.skip("no broadcast")
        heard: asyncio.Queue[bytes] = asyncio.Queue()
        listening = asyncio.create_task(_collect(other_tier.messages(), heard))
        try:
            async with asyncio.timeout(_PATIENCE):
                while heard.empty():  # the first are lost while the connection is not there yet
                    await tier.publish(b"are you there")
                    await asyncio.sleep(0.02)
                await tier.publish(b"\x00\xff the message")
                while (message := await heard.get()) != b"\x00\xff the message":
                    assert message == b"are you there"
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)


async def _collect(messages: AsyncIterator[bytes | None], heard: asyncio.Queue[bytes]) -> None:
    async for message in messages:
        if message is not None:
            heard.put_nowait(message)
