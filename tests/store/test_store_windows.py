"""Windows of live scores: added by several processes at once, queried, rolled up, and consumed once."""

from __future__ import annotations

import asyncio

import pytest

from tilores_core.errors import StoreError
from tilores_core.store.live_quality import LEASE
from tilores_core.store.score_windows import MOST_SCORES
from tilores_core.store.store import Store
from tilores_core.store.windows import DAY_MS, FOUR_WEEKS_MS, HOUR_MS, WINDOW_MS, Cell

NOW = 1_790_000_000_000 - 1_790_000_000_000 % DAY_MS + 9 * HOUR_MS
BILLING = Cell("demo:simulated-1", "billing", "v1")
GENERAL = Cell("demo:simulated-1", "general", "v2")


def scored(*scores: float) -> dict[str, float]:
    return {
        "turns": len(scores),
        "overall_count": len(scores),
        "overall_sum": sum(scores),
        "overall_squares": sum(score * score for score in scores),
    }


async def test_two_stores_adding_at_once_lose_nothing(store: Store) -> None:
    other = await Store.open(store.database.address)
    try:
        await asyncio.gather(
            *(
                each.windows.add({(BILLING, NOW + n): scored(0.5, 1.0), (GENERAL, NOW): scored(0.25)}, now_ms=NOW)
                for n in range(10)
                for each in (store, other)
            )
        )
    finally:
        await other.aclose()
    billing, general = await store.windows.query(NOW, NOW + 1, step_ms=WINDOW_MS)
    assert (billing.cell, general.cell, billing.start_ms) == (BILLING, GENERAL, NOW)
    assert billing.sums["turns"] == 40
    overall = billing.moments("overall")
    assert (overall.count, overall.mean) == (40, 0.75)
    assert overall.variance == pytest.approx(40 * 0.0625 / 39)
    assert general.moments("latency").count == 0


async def test_query_keeps_apart_what_is_asked_and_sums_the_rest(store: Store) -> None:
    await store.windows.add(
        {
            (BILLING, NOW): scored(0.9),
            (GENERAL, NOW): scored(0.8),
            (BILLING, NOW + HOUR_MS): scored(1.0),
            (BILLING, NOW + 2 * HOUR_MS): scored(1.0),
        },
        now_ms=NOW,
    )
    [whole] = await store.windows.query(NOW, NOW + 2 * HOUR_MS, by=("model",))
    assert (whole.model, whole.spectrum, whole.prompt_version, whole.start_ms) == ("demo:simulated-1", "", "", NOW)
    assert whole.moments("overall").mean == pytest.approx(0.9)
    hours = await store.windows.query(NOW, NOW + DAY_MS, step_ms=HOUR_MS, by=(), spectrum="billing")
    assert [(hour.start_ms, hour.moments("overall").count) for hour in hours] == [
        (NOW, 1),
        (NOW + HOUR_MS, 1),
        (NOW + 2 * HOUR_MS, 1),
    ]
    assert await store.windows.query(NOW, NOW + DAY_MS, by=(), model="other") == []
    assert len(await store.windows.query(NOW, NOW + DAY_MS, step_ms=WINDOW_MS, limit=2)) == 2


async def test_roll_up_counts_closed_windows_once_and_forgets_narrow_ones_first(store: Store) -> None:
    ago = NOW - 2 * HOUR_MS
    for minute in range(0, 60, 5):
        score = 0.95 if minute < 15 else 0.85
        await store.windows.add({(BILLING, ago + minute * 60_000): scored(score, score)}, now_ms=ago)
    await store.windows.add({(BILLING, NOW): scored(0.5)}, now_ms=NOW)
    for _ in range(2):
        await store.windows.roll_up(now_ms=NOW)
    for width, expected in (
        (HOUR_MS, [(24, 12, 3), (1, 0, 0)]),
        (DAY_MS, [(25, 12, 3)]),
        (FOUR_WEEKS_MS, [(25, 12, 3)]),
    ):
        found = await store.windows.query(NOW - HOUR_MS * 3, NOW + 1, step_ms=width, by=())
        assert [tuple(row.sums[name] for name in ("turns", "windows", "reached")) for row in found] == expected, width
    later = NOW + 2 * DAY_MS
    await store.windows.roll_up(now_ms=later)
    # Hours are what is left of that day; a query by the window says so by its starts.
    found = await store.windows.query(ago, NOW + HOUR_MS, now_ms=later, step_ms=WINDOW_MS, by=())
    assert [row.start_ms for row in found] == [ago, NOW]
    [whole] = await store.windows.query(NOW - 20 * DAY_MS, NOW + 20 * DAY_MS, by=("model",))
    assert whole.moments("overall").mean == pytest.approx((6 * 0.95 + 18 * 0.85 + 0.5) / 25)
    await store.windows.roll_up(now_ms=NOW + 60 * DAY_MS, keep_ms=DAY_MS)
    assert await store.windows.query(0, NOW + DAY_MS, by=()) == []


async def test_query_reads_what_is_asked_of(store: Store) -> None:
    await store.windows.add({(BILLING, NOW): scored(0.9)}, now_ms=NOW)
    [window] = await store.windows.query(NOW, NOW + HOUR_MS, measures=("overall",))
    assert "latency_sum" not in window.sums
    assert window.moments("overall").mean == 0.9


async def test_logged_scores_are_consumed_with_the_state_under_the_lease(store: Store) -> None:
    await store.windows.add({}, {BILLING: [0.5] * (MOST_SCORES + 1)}, now_ms=NOW)
    await store.windows.add({}, {GENERAL: [1.0, 0.25]}, now_ms=NOW + 1)
    *first, last = await store.windows.list_logged()
    assert sorted(len(row.scores) for row in first) == [1, MOST_SCORES]
    assert (last.cell, list(last.scores)) == (GENERAL, [1.0, 0.25])
    fence = await store.leases.acquire(LEASE, "one", 60.0)
    assert fence is not None
    with pytest.raises(StoreError, match="lease"):
        await store.quality.put({GENERAL: {"n": 1}}, consumed=[last.id], now_ms=NOW, fence=fence - 1)
    assert len(await store.windows.list_logged()) == 3
    await store.quality.put({GENERAL: {"n": 2}}, consumed=[last.id], now_ms=NOW, fence=fence)
    assert await store.quality.get_all() == {GENERAL: {"n": 2}}
    assert [row.cell for row in await store.windows.list_logged()] == [BILLING, BILLING]
    await store.windows.add({}, {GENERAL: [1.0]}, now_ms=NOW + DAY_MS)
    assert [row.cell for row in await store.windows.list_logged()] == [GENERAL], "what was not consumed is dropped"
    await store.quality.forget(NOW + 1, fence=fence)
    assert await store.quality.get_all() == {}


async def test_text_that_does_not_fit_is_refused_in_every_database(store: Store) -> None:
    with pytest.raises(StoreError, match=r"score_windows\.spectrum"):
        await store.windows.add({(Cell("m", "s" * 65, "v"), NOW): scored(1.0)}, now_ms=NOW)


async def test_waiting_feedback_is_claimed_by_one_process(store: Store) -> None:
    await store.feedback.put([("a" * 32, 1.0), ("b" * 32, 0.0)], now_ms=NOW)
    waiting = await store.feedback.waiting()
    assert sorted((row.run_id[0], row.score) for row in waiting) == [("a", 1.0), ("b", 0.0)]
    ids = [row.id for row in waiting]
    assert await store.feedback.claim(ids[:1]) == {ids[0]}
    assert await store.feedback.claim(ids) == {ids[1]}
    await store.feedback.put([("c" * 32, 1.0)], now_ms=NOW)
    await store.feedback.put([("d" * 32, 1.0)], now_ms=NOW + 2 * HOUR_MS)
    assert [row.run_id[0] for row in await store.feedback.waiting()] == ["d"]
    await store.feedback.put([(f"{number:032}", 1.0) for number in range(1000)], now_ms=NOW)  # no two have one id
