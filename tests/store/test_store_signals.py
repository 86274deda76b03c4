"""Signals of live turns, on both databases."""

from __future__ import annotations

from tilores_core.store.healing import SignalKind
from tilores_core.store.store import Store
from tilores_core.store.windows import HOUR_MS


async def test_signals_are_counted_and_hours_of_fields_are_summed_before_and_since_a_time(store: Store) -> None:
    healing, now = store.healing, 1_000 * HOUR_MS
    for hours, city in ((0, 3), (1, 4), (5, 0), (6, 2)):
        counts: dict[tuple[SignalKind, str, str], int] = {("field", "demo", ""): 5, ("served_by", "a:b", "b-1"): 2}
        if city:
            counts["field", "demo", "city"] = city
        await healing.add_signals(counts, now_ms=now + hours * HOUR_MS)
    found = await healing.signals(since_ms=now, recent_ms=now + 5 * HOUR_MS)
    rows = [
        (one.kind, one.value, one.start_ms - now if one.start_ms else 0, one.count, one.first_ms - now)
        for one in found
    ]
    assert sorted(rows) == [
        ("field", "", HOUR_MS, 10, 0),
        ("field", "", 6 * HOUR_MS, 10, 5 * HOUR_MS),
        ("field", "city", HOUR_MS, 7, 0),
        ("field", "city", 6 * HOUR_MS, 2, 6 * HOUR_MS),
        ("served_by", "b-1", 0, 8, 0),
    ]
    assert [one.kind for one in await healing.signals(since_ms=now + 7 * HOUR_MS)] == []
