"""Live quality: what is counted and scored, within which budget, and that only scores reach the store."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

from tilores_core.chat.reporter import OutcomeReporter
from tilores_core.chat.turn_context import KeyMemo, TurnContext
from tilores_core.contracts import (
    Answer,
    Attempt,
    Customer,
    CustomerOutcome,
    ExperimentArm,
    Outcome,
    Prompt,
    Record,
    Turn,
)
from tilores_core.errors import ProviderUnavailableError, RateLimitedError, StoreUnavailableError
from tilores_core.improve.healing_signals import HealthSignals
from tilores_core.quality.cpu_budget import CpuBudget
from tilores_core.quality.live import LiveQuality
from tilores_core.quality.recent_runs import RecentRuns
from tilores_core.quality.scoring.scores import Scores
from tilores_core.store.address import store_address
from tilores_core.store.lazy import LazyStore
from tilores_core.store.windows import HOUR_MS, Window
from tilores_core.testing import TestApp, eventually

NOW = 1_790_000_000.0
RECORD = Record(id="r1", system="bureau", fields={"credit_score": 742})
CUSTOMER = Customer(id="c1", name="Edwina Hawthorne", records=(RECORD,))


def report(
    quality: LiveQuality,
    run: str = "r",
    text: str = "742.",
    *,
    error: Exception | None = None,
    tier: str = "miss",
    arm: ExperimentArm | None = None,
    **turn: Any,
) -> None:
    """Report a turn that has ended, as the engine does."""
    answer = Answer(
        text=text,
        model="demo:simulated-1",
        cost=0.002,
        cache_tier=tier,
        prompt_version="v1",
        customer=CustomerOutcome(kind="one", customer_id="c1"),
        spectrum="billing",
    )
    asked = Turn(messages=({"role": "user", "content": "Edwina's credit score?"},), run_id=run, **turn)
    context = TurnContext(
        asked, "demo:simulated-1", Prompt(version="v1", template=""), KeyMemo(), 0.0, customer=CUSTOMER, arm=arm
    )
    context.started -= 0.5
    OutcomeReporter(quality=quality).report(context, None if error else answer, error=error)


class _Cache:
    """Of a cache what live quality needs: no stored answer is there any more."""

    def get_from_memory(self, key: str) -> None:
        return None


@asynccontextmanager
async def live(folder: Path, **options: Any) -> AsyncIterator[tuple[LiveQuality, LazyStore]]:
    store = LazyStore(store_address(None, folder))
    cache: Any = _Cache()
    options = {"cpu_share": 1.0, "clock": lambda: NOW, "flush_seconds": 3600.0, **options}
    quality = LiveQuality(store, cache, **options)
    quality.start()
    try:
        yield quality, store
    finally:
        await quality.aclose()
        await store.aclose()


async def window(store: LazyStore) -> Window:
    [found] = await (await store.get()).windows.query(round(NOW * 1000) - HOUR_MS, round(NOW * 1000) + 1)
    return found


def quality_of(app: TestApp) -> Any:
    service = app.application._service
    assert service is not None
    return service.quality


def always(value: float) -> Any:
    return lambda question, given: Scores(groundedness=value, abstention=1.0, format=1.0, overall=value)


async def test_answers_are_counted_and_scored_once_each(tmp_path: Path) -> None:
    async with live(tmp_path, score=always(0.75)) as (quality, store):
        for number in range(4):
            report(quality, f"r{number}")
        report(quality, "hit", tier="l2")
        report(quality, error=ProviderUnavailableError("down", provider="demo"))
        report(quality, error=RateLimitedError("slower"))
        report(quality, purpose="evaluation")
        await eventually(lambda: quality.counts["scored"] == 4)
        await quality.flush()
        windows = await (await store.get()).windows.query(0, round(NOW * 1000) + 1)
        sums = {found.spectrum: found for found in windows}
        billing = sums.pop("billing")
        assert (billing.sums["turns"], billing.sums["hits"]) == (5, 1)
        assert (billing.moments("overall").count, billing.moments("overall").mean) == (4, 0.75)
        assert billing.moments("latency").mean >= 0.5
        assert billing.moments("cost").count == 4
        [failed] = sums.values()
        assert (failed.sums["turns"], failed.sums["errors"]) == (1, 1)
        [logged] = await (await store.get()).windows.list_logged()
        assert list(logged.scores) == [0.75] * 4
        await quality.flush()
        assert (await (await store.get()).windows.query(0, round(NOW * 1000) + 1))[0].sums["turns"] == 5


async def test_answer_that_cannot_be_scored_ends_nothing(tmp_path: Path) -> None:
    def fail(question: str, given: Outcome) -> Scores:
        raise ZeroDivisionError

    async with live(tmp_path, score=fail) as (quality, _):
        report(quality, "a")
        await eventually(lambda: quality.counts["failed"] == 1)
        report(quality, "b", text="")
        await eventually(lambda: quality.counts["not_scorable"] == 1)


def test_budget_allows_its_share_of_cpu_time_and_no_more() -> None:
    now = 0.0
    budget = CpuBudget(0.01, clock=lambda: now)
    done = 0
    for _ in range(100_000):  # a hundred seconds of a thousand answers each
        now += 0.001
        if budget.allows():
            done += 1
            budget.charge(0.003)
    assert budget.used == pytest.approx(100 * 0.01 + 2 * 0.01, abs=0.004)
    assert done == pytest.approx(budget.used / 0.003)


async def test_answers_over_the_budget_are_counted_and_not_scored(tmp_path: Path) -> None:
    async with live(tmp_path, cpu_share=1e-9, score=always(1.0)) as (quality, store):
        quality._budget.charge(1.0)
        for number in range(20):
            report(quality, str(number))
        await eventually(lambda: quality.counts["over_budget"] == 20)
        await quality.flush()
        assert (await window(store)).sums["turns"] == 20
        assert (await window(store)).moments("overall").count == 0


async def test_outage_of_the_store_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with live(tmp_path, score=always(0.5)) as (quality, store):
        opened = await store.get()
        add = opened.windows.add

        async def fail(*_: Any, **__: Any) -> None:
            raise StoreUnavailableError("the database does not answer")

        monkeypatch.setattr(opened.windows, "add", fail)
        for number in range(3):
            report(quality, str(number))
            await eventually(lambda number=number: quality.counts["scored"] == number + 1)  # type: ignore[misc]
            await quality.flush()
        assert (quality.failures, quality.waiting) == (3, 1)
        monkeypatch.setattr(opened.windows, "add", add)
        await quality.flush()
        assert (await window(store)).moments("overall").count == 3
        assert [list(row.scores) for row in await opened.windows.list_logged()] == [[0.5] * 3]


async def test_feedback_finds_its_answer_also_in_another_process(tmp_path: Path) -> None:
    run = "0" * 32
    async with live(tmp_path) as (one, store), live(tmp_path) as (other, _):
        await other._store.get()
        report(one, run)
        await eventually(lambda: one.runs.find(run) is not None)
        other.feedback(run, 1.0)
        other.feedback(run, None)
        other.feedback(run, 4.5)
        one.feedback(run, 0.0)
        await other.flush()
        assert other.joined == {"ignored": 2, "handed_on": 1}
        await store.get()
        await eventually(lambda: one._feedback_elsewhere)
        await one.flush()
        await one.flush()
        assert one.joined["joined"] == 2
        feedback = (await window(store)).moments("feedback")
        assert (feedback.count, feedback.mean) == (2, 0.5)


def test_hits_are_counted_exactly_and_shared_out_by_their_answers() -> None:
    runs = RecentRuns({"a": "billing", "b": "general"}.get)
    for number in range(30_000):
        next(runs.hits)
        runs.recent.append((str(number), "ab"[number % 4 == 0], "m", "v"))
    counted = {cell.spectrum: number for cell, number in runs.take_hits().items()}
    assert counted == {"billing": 22_500, "general": 7_500}
    assert runs.take_hits() == {}
    cell = runs.find("29996")
    assert cell is not None
    assert cell.spectrum == "general"
    assert runs.find("1") is None


async def test_no_customer_value_reaches_the_store_with_capture_off(tmp_path: Path) -> None:
    questions = [f"What is Edwina Hawthorne's {what}?" for what in ("credit score", "email address", "next payment")]
    async with TestApp(data_dir=tmp_path, config={"quality": {"live_cpu_percent": 100}}) as app:
        quality = quality_of(app)
        replies = [await app.invoke(question) for question in questions]
        cached = await app.invoke(questions[0])
        run = cached.json()["metadata"]["run_id"]
        assert (
            await app.http.post("/chat/feedback", json={"run_id": run, "key": "ok", "score": 1})
        ).status_code == 200
        await eventually(lambda: quality.counts["scored"] == 3, lambda: str(quality.counts))
        await quality._store.get()
        await quality.flush()
        metrics = (await app.http.get("/metrics")).text
        assert 'tilores_quality_answers_total{result="scored"} 3.0' in metrics
        assert 'tilores_quality_feedback_total{result="joined"} 1.0' in metrics
        overview = (await app.http.get("/admin/quality", params={"hours": 1})).json()
        assert sum(cell["scored"] for cell in overview["cells"]) == 3
        assert (await app.http.get("/admin/quality", params={"hours": 0})).status_code == 422
        path = quality._store.address.path
    with closing(sqlite3.connect(path)) as database:
        rows = {
            table: database.execute(f"SELECT * FROM {table}").fetchall()
            for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        }
    assert rows["tilores_score_windows"]
    assert rows["tilores_score_log"]
    assert rows["tilores_collected_questions"] == []
    stored = json.dumps(rows).lower()
    values = {"edwina", "hawthorne", "(503)", "credit score"}
    values |= {word for reply in replies for word in reply.json()["output"]["content"].lower().split() if "@" in word}
    assert not [value for value in values if value in stored]


async def test_share_of_zero_switches_live_quality_off() -> None:
    async with TestApp(config={"quality": {"live_cpu_percent": 0}}) as app:
        assert quality_of(app) is None
        await app.invoke("What is Edwina Hawthorne's credit score?")
        assert "tilores_quality_answers_total{" not in (await app.http.get("/metrics")).text


async def test_observer_hears_of_each_turn_once_with_its_score(tmp_path: Path) -> None:
    heard: list[tuple[str, float | None]] = []

    class Observer:
        def record(self, given: Outcome, score: float | None) -> None:
            heard.append((given.turn.run_id, score))

        def record_unreliable(self, given: Outcome) -> None:
            heard.append((given.turn.run_id, -1.0))

        async def flush(self) -> None: ...

    def score(question: str, given: Outcome) -> Scores:
        if given.turn.run_id == "broken":
            raise ValueError
        return Scores(groundedness=0.5, abstention=1.0, format=1.0, overall=0.5)

    async with live(tmp_path, score=score, observer=Observer()) as (quality, _):
        for run in ("scored", "broken", "asks for a tool"):
            report(quality, run, "" if run == "asks for a tool" else "742.")
        report(quality, "failed", error=ProviderUnavailableError("down", provider="demo"))
        report(quality, "hit", tier="l2")
        await eventually(lambda: len(heard) == 4)
    assert dict(heard) == {"scored": 0.5, "broken": -1.0, "asks for a tool": None, "failed": None}


async def test_observer_hears_over_the_budget_only_of_turns_in_experiments(tmp_path: Path) -> None:
    heard: list[tuple[str, float | None]] = []

    class Observer:
        def record(self, given: Outcome, score: float | None) -> None:
            heard.append((given.turn.run_id, score))

        def record_unreliable(self, given: Outcome) -> None:
            raise AssertionError

        async def flush(self) -> None: ...

    async with live(tmp_path, score=always(0.75), observer=Observer(), cpu_share=1e-9) as (quality, _):
        quality._budget.charge(1.0)
        arm = ExperimentArm("e-1", "e", 0, "control", "s")
        report(quality, "outside")
        report(quality, "inside", arm=arm)
        report(quality, "failed inside", error=ProviderUnavailableError("down", provider="demo"), arm=arm)
        report(quality, "failed outside", error=ProviderUnavailableError("down", provider="demo"))
        assert heard == [("inside", None), ("failed inside", None)]
        assert quality.counts["over_budget"] == 2


async def test_batch_ends_where_the_budget_does(tmp_path: Path) -> None:
    def score(question: str, given: Outcome) -> Scores:
        began = time.thread_time()
        while time.thread_time() < began + 0.002:
            pass
        return always(0.75)(question, given)  # type: ignore[no-any-return]

    async with live(tmp_path, score=score, cpu_share=0.001) as (quality, _):  # 2 ms at first
        for number in range(3):
            report(quality, str(number))
        await eventually(lambda: sum(quality.counts.values()) == 3)
        assert quality.counts == {"scored": 1, "over_budget": 2}
        assert quality.cpu_seconds >= 0.002


async def test_health_signals_count_fields_and_versions(tmp_path: Path) -> None:
    class Behind:
        def record(self, given: Outcome, score: float | None) -> None: ...

        def record_unreliable(self, given: Outcome) -> None: ...

        async def flush(self) -> None: ...

    store = LazyStore(store_address(None, tmp_path))
    signals = HealthSignals(store, Behind(), shown=str.upper, source="demo", clock=lambda: NOW)
    records = (RECORD, Record(id="r2", system="crm", fields={"credit_score": 740, "city": "Portland"}))
    for customer in (CUSTOMER, Customer(id="c2", name=None, records=records)):
        attempt = Attempt(model="a:b", seconds=0.1, served_by="b-2")
        signals.record(
            Outcome(turn=Turn(messages=()), answer=None, timings={}, attempts=(attempt,), customer=customer), None
        )
    try:
        await signals.flush()
        found = await (await store.get()).healing.signals()
        assert {(one.kind, one.subject, one.value): one.count for one in found} == {
            ("served_by", "A:B", "b-2"): 2,
            ("field", "demo", ""): 2,
            ("field", "demo", "credit_score"): 2,
            ("field", "demo", "city"): 1,
        }
    finally:
        await store.aclose()
