"""One line of a batch: the row it gets, what is tried again, and who is told that it is no live question."""

from __future__ import annotations

import random
import time
from typing import Any

import pytest

from tests.chat.engine_world import ABOUT_EDWINA, EDWINA, World
from tilores_core.contracts import CachePolicy, Identifiers, current_purpose
from tilores_core.errors import (
    ContentRefusedError,
    OverloadedError,
    ProviderAuthError,
    ProviderQuotaError,
    ProviderRateLimitedError,
    ProviderUnavailableError,
    SourceUnavailableError,
    TiloresError,
)
from tilores_core.identity import Locale
from tilores_core.jobs.batch_input import BatchLine
from tilores_core.jobs.batch_rows import Totals, error_row, input_row, repeat_row
from tilores_core.jobs.line_processor import LineOptions, LineProcessor, Retry, is_transient
from tilores_core.testing import FakeProvider


def _line(question: str | None = ABOUT_EDWINA, *, model: str | None = None, **who: str) -> BatchLine:
    return BatchLine(place=0, number=1, id="a", question=question, identifiers=Identifiers(**who), model=model)


class Naps:
    """Sleeps that do not take time."""

    def __init__(self) -> None:
        self.taken: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.taken.append(seconds)


def _work(world: World, naps: Naps | None = None, **options: Any) -> LineProcessor:
    return LineProcessor(
        world.engine, world.crm, locale=Locale.of("GB"), options=LineOptions(**options), sleep=naps or Naps()
    )


# --- rows ---------------------------------------------------------------------------------------------------


async def test_a_question_is_answered_and_then_known() -> None:
    async with World(provider=FakeProvider(otherwise="She has 742.")) as world:
        world.clock.now = time.time()
        work = _work(world)
        assert work.try_cached(_line()) is None
        row = await work.process(_line())
        assert row == {
            "id": "a",
            "answer": "She has 742.",
            "model": "fake:fake-1",
            "customer": "one",
            "customer_id": EDWINA.id,
            "spectrum": "credit_analysis",
            "finish_reason": "stop",
            "cost": row["cost"],
            "cache": "miss",
            "attempts": 1,
            "latency_ms": row["latency_ms"],
        }
        again = work.try_cached(_line())
        assert again is not None
        assert (again["answer"], again["cache"], again["cost"]) == ("She has 742.", "l1", 0.0)
        assert world.calls == 1


async def test_whoever_is_named_by_other_identifiers_is_looked_for_once() -> None:
    async with World(provider=FakeProvider(otherwise="Hello.")) as world:
        work = _work(world)
        for question in ("What is the score?", "And the city?"):
            row = await work.process(_line(question, name="Robin Ashdown"))
            assert (row["customer"], row["customer_id"]) == ("one", "C-2001")
        assert world.crm.calls.count("find Robin Ashdown") == 1


@pytest.mark.parametrize(
    ("who", "kind"),
    [({"name": "John Smith"}, "several"), ({"name": "Nobody Atall"}, "none"), ({"customer_id": "x"}, "none")],
)
async def test_nobody_and_several_are_answers_without_a_model(who: dict[str, str], kind: str) -> None:
    async with World() as world:
        row = await _work(world).process(_line("What is the score?", **who))
        assert row["customer"] == kind
        assert row["answer"]
        assert "error" not in row
        assert world.calls == 0


async def test_a_line_without_a_question_brings_the_records() -> None:
    async with World() as world:
        work = _work(world)
        assert work.try_cached(_line(None, customer_id=EDWINA.id)) is None
        row = await work.process(_line(None, customer_id=EDWINA.id))
        assert [record["id"] for record in row["records"]] == [f"r1-{EDWINA.id}", f"r2-{EDWINA.id}"]
        assert row["records"][0]["fields"]["credit_score"] == "mark-edwina"
        assert "answer" not in row
        assert (await work.process(_line(None, name="John Smith")))["records"] == []
        assert world.calls == 0


async def test_the_model_of_the_line_comes_before_that_of_the_batch() -> None:
    async with World(provider=FakeProvider(otherwise="Hello.")) as world:
        work = _work(world, model="fake:one")
        assert (await work.process(_line()))["model"] == "fake:one"
        assert (await work.process(_line(model="fake:two")))["model"] == "fake:two"
        unknown = await work.process(_line(model="nowhere:x"))
        assert (unknown["error"]["code"], unknown["attempts"]) == ("unknown_model", 1)


async def test_an_error_says_what_is_ours_to_say_and_nothing_else() -> None:
    own = error_row("a", SourceUnavailableError("the source is down", fix="wait"), attempts=2, seconds=0.5)
    assert own["error"] == {"code": "source_unavailable", "message": "the source is down", "fix": "wait"}
    foreign = error_row("a", ValueError("mark-edwina has no score"), attempts=1, seconds=0.0)
    assert foreign["error"] == {"code": "internal", "message": "unforeseen: ValueError", "fix": None}


def test_a_failed_line_can_be_written_as_an_input() -> None:
    line = _line("Why?", model="fake:two", email="a@example.com", customer_id="C-1")
    assert input_row(line) == {
        "id": "a",
        "question": "Why?",
        "customer_id": "C-1",
        "email": "a@example.com",
        "model": "fake:two",
    }


def test_totals_count_what_rows_say_and_can_be_kept() -> None:
    totals = Totals()
    row = {"id": "a", "answer": "x", "customer": "one", "cost": 0.5, "cache": "miss", "attempts": 2}
    for one in (row, {**row, "cache": "l2", "cost": 0.0}, repeat_row("b", row), {**row, "customer": "none"}):
        totals.count(one)
    totals.count(error_row("a", TiloresError("no"), attempts=3, seconds=0))
    wanted = Totals(lines=5, failed=1, cached=1, repeated=1, unidentified=1, attempts=9, cost=1.0)
    assert totals == wanted
    assert Totals.read({**totals.plain(), "of_a_later_version": 1.0}) == wanted


# --- trying again -------------------------------------------------------------------------------------------


async def test_what_passes_by_itself_is_tried_again() -> None:
    provider = FakeProvider(otherwise="At last.")
    provider.enqueue(ProviderUnavailableError("down", provider="fake"), OverloadedError("full"))
    naps = Naps()
    async with World(provider=provider) as world:
        row = await _work(world, naps).process(_line())
        assert (row["answer"], row["attempts"]) == ("At last.", 3)
        assert len(naps.taken) == 2


async def test_it_ends_after_so_many_tries() -> None:
    naps = Naps()
    async with World() as world:
        world.crm.down = True
        row = await _work(world, naps, retry=Retry(attempts=3)).process(_line(customer_id=EDWINA.id))
        assert (row["error"]["code"], row["attempts"]) == ("source_unavailable", 3)
        assert len(naps.taken) == 2
        world.crm.down = False


@pytest.mark.parametrize(
    "error",
    [
        ContentRefusedError("no", provider="fake"),
        ProviderAuthError("no key", provider="fake"),
        ProviderQuotaError("nothing left", provider="fake"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_what_stays_is_not_tried_again(error: Exception) -> None:
    provider = FakeProvider()
    provider.enqueue(error)
    naps = Naps()
    async with World(provider=provider) as world:
        row = await _work(world, naps).process(_line())
        assert row["attempts"] == 1
        assert "error" in row
        assert naps.taken == []
    assert not is_transient(error)


async def test_a_try_has_an_end() -> None:
    async with World() as world:
        world.crm.gate = gate = _never()
        row = await _work(world, seconds=0.05, retry=Retry(attempts=2)).process(_line(customer_id=EDWINA.id))
        assert (row["error"]["code"], row["attempts"]) == ("deadline_exceeded", 2)
        gate.set()


def _never() -> Any:
    import asyncio

    return asyncio.Event()


def test_pauses_have_full_jitter_and_honour_what_the_other_side_asks() -> None:
    random.seed(7)
    retry = Retry(base=0.5, cap=4.0, longest_wait=60.0)
    plain = ProviderUnavailableError("down", provider="x")
    for failures, longest in ((1, 0.5), (2, 1.0), (3, 2.0), (10, 4.0)):
        pauses = [retry.pause(plain, failures) for _ in range(400)]
        assert all(0 <= pause <= longest for pause in pauses)
        assert min(pauses) < longest * 0.1
        assert max(pauses) > longest * 0.9
    asked = ProviderRateLimitedError("slow down", provider="x", retry_after=7.0)
    assert all(7.0 <= retry.pause(asked, 1) <= 7.5 for _ in range(50))
    for_ever = ProviderRateLimitedError("slow down", provider="x", retry_after=86_400.0)
    assert retry.pause(for_ever, 1) <= 60.5


# --- who is told --------------------------------------------------------------------------------------------


async def test_source_and_model_see_that_it_is_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def note(_: object) -> str:
        seen.append(current_purpose.get())
        return "Hello."

    async with World(provider=FakeProvider(otherwise=note)) as world:
        get = world.crm.get

        async def noting(customer_id: str) -> Any:
            seen.append(current_purpose.get())
            return await get(customer_id)

        monkeypatch.setattr(world.crm, "get", noting)
        await _work(world).process(_line(customer_id=EDWINA.id))
        assert set(seen) == {"batch"}
        assert len(seen) >= 2
        assert [outcome.turn.purpose for outcome in world.outcomes] in ([], ["batch"])


async def test_a_turns_purpose_reaches_the_source_whoever_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    async with World(provider=FakeProvider(otherwise="Hello.")) as world:
        get = world.crm.get

        async def noting(customer_id: str) -> Any:
            seen.append(current_purpose.get())
            return await get(customer_id)

        monkeypatch.setattr(world.crm, "get", noting)
        await world.ask(customer_id=EDWINA.id, purpose="evaluation")
        assert set(seen) == {"evaluation"}
        assert current_purpose.get() == "live"
        await world.ask(customer_id="C-2001")
        assert seen[-1] == "live"


async def test_without_the_cache_it_is_asked_every_time() -> None:
    async with World(provider=FakeProvider(otherwise="Hello.")) as world:
        work = _work(world, cache=CachePolicy(no_store=True))
        for _ in range(2):
            assert work.try_cached(_line()) is None
            assert (await work.process(_line()))["cache"] == "miss"
        assert world.calls == 2
