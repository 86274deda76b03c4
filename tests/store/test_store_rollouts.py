"""Code roll-outs in the store, on SQLite and on PostgreSQL alike."""

from __future__ import annotations

from tilores_core.store.store import Store
from tilores_core.testing import eventually


async def test_rollout_is_in_progress_from_its_begin_to_its_end(store: Store) -> None:
    assert await store.rollouts.current() is None
    await store.rollouts.begin("one", target="railway", actor="ops", seconds=60.0)
    begun = await store.rollouts.current()
    assert begun is not None
    assert (begun.id, begun.target, begun.actor, begun.end_ms - begun.begin_ms) == ("one", "railway", "ops", 60_000)
    await store.rollouts.begin("one", target="railway", actor="ops", seconds=120.0)
    await store.rollouts.end("one", result="succeeded", actor="ops")
    await store.rollouts.end("two", result="failed", actor="ops")  # was not begun
    assert await store.rollouts.current() is None
    [ended] = await store.rollouts.recent()
    assert (ended.begin_ms, ended.result) == (begun.begin_ms, "succeeded")
    assert ended.end_ms < begun.end_ms


async def test_rollout_of_a_deployer_that_died_ends_by_itself(store: Store) -> None:
    await store.rollouts.begin("one", target="railway", actor="ops", seconds=0.05)

    async def is_over() -> bool:
        return await store.rollouts.current() is None

    await eventually(is_over)
    assert [(one.id, one.result) for one in await store.rollouts.recent()] == [("one", "")]


async def test_server_that_starts_as_another_version_begins_one(store: Store) -> None:
    assert not await store.rollouts.started("1.0", part="web", seconds=60.0)
    assert not await store.rollouts.started("1.0", part="web", seconds=60.0)
    assert not await store.rollouts.started("1.1", part="worker", seconds=60.0)  # services of their own names
    assert not await store.rollouts.started("1.0", part="web", seconds=60.0)
    assert await store.rollouts.recent() == []  # what ran first took no other's place
    assert await store.rollouts.started("1.1", part="web", seconds=60.0)
    current = await store.rollouts.current()
    assert current is not None
    assert (current.version, current.actor) == ("1.1", "server")
    assert await store.rollouts.started("1.0", part="web", seconds=0.0)  # gone back
    assert [one.version for one in await store.rollouts.recent(limit=2)] == ["1.0", "1.1"]
