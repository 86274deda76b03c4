"""One model call for all who ask the same at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

import pytest

from tests.chat.engine_world import PRICED, World, collect, finished, question, table
from tilores_core.chat import turn_context
from tilores_core.contracts import Answer, CacheEntry, CachePolicy, Caller, Delta
from tilores_core.errors import OverloadedError, ProviderUnavailableError
from tilores_core.settings import RoutingTable
from tilores_core.testing import FakeProvider, FakeReply
from tilores_core.testing.tiers import SharedStore
from tilores_core.testing.waiting import eventually, settle


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with World() as world:
        yield world


def held(world: World, text: str = "one two three", **reply: Any) -> asyncio.Event:
    """The next call of the model waits until the event is set."""
    gate = asyncio.Event()
    world.provider.enqueue(FakeReply(text=text, until=gate, **reply))
    return gate


async def test_a_thousand_ask_the_model_and_the_source_once(world: World) -> None:
    gate = held(world)
    asking = [asyncio.create_task(world.ask()) for _ in range(1000)]
    await eventually(lambda: world.provider.running)
    await settle()
    gate.set()
    answers = await asyncio.gather(*asking)
    assert {answer.text for answer in answers} == {"one two three"}
    assert world.calls == 1
    assert len(world.crm.calls) == 1


async def test_who_looked_below_while_the_answer_was_made_does_not_make_it_again() -> None:
    async with World(store=SharedStore()) as world:
        gate = held(world)
        first = asyncio.create_task(world.ask())
        await eventually(lambda: world.provider.running)
        look, looking, looked = world.shared.get_many, asyncio.Event(), asyncio.Event()

        async def slow(keys: Sequence[str]) -> Mapping[str, CacheEntry]:
            found = await look(keys)
            looking.set()
            await looked.wait()
            return found

        world.shared.get_many = slow  # type: ignore[method-assign]
        second = asyncio.create_task(world.ask())
        await looking.wait()
        gate.set()
        await first
        looked.set()
        assert (await second).text == "one two three"
        assert world.calls == 1


async def test_a_caller_who_joins_what_was_begun_behind_the_scenes_goes_first() -> None:
    """It waited behind a batch for a place among the provider's calls."""
    routing = RoutingTable(attempts=1, breaker_failures=1000, max_concurrent=1)
    async with World(routing=routing) as world:
        world.provider.otherwise = lambda call: "here"
        gate = held(world)
        tasks = [asyncio.create_task(world.ask("The first?", purpose="batch"))]
        await eventually(lambda: world.provider.running)
        tasks += [asyncio.create_task(world.ask(f"Batch {n}?", purpose="batch")) for n in range(3)]
        await settle()
        tasks.append(asyncio.create_task(world.ask("Warmed?", purpose="prewarm")))
        await settle()
        tasks.append(asyncio.create_task(world.ask("Warmed?")))
        await settle()
        gate.set()
        await asyncio.gather(*tasks)
        said = [str(call.messages[-1].text) for call in world.provider.asked]
        assert said == ["The first?", "Warmed?", "Batch 0?", "Batch 1?", "Batch 2?"]


async def test_streams_and_answers_share(world: World) -> None:
    gate = held(world)
    streams = [asyncio.create_task(world.listen()) for _ in range(20)]
    answers = [asyncio.create_task(world.ask()) for _ in range(20)]
    more = [asyncio.create_task(world.listen()) for _ in range(20)]
    await eventually(lambda: world.provider.running)
    gate.set()
    for pieces, answer in await asyncio.gather(*streams, *more):
        assert "".join(piece.text for piece in pieces) == answer.text == "one two three"
    assert {answer.text for answer in await asyncio.gather(*answers)} == {"one two three"}
    assert world.calls == 1


@pytest.mark.parametrize("first", ["answer", "stream"])
async def test_a_stream_gets_its_pieces_whoever_began(world: World, first: str) -> None:
    gate = held(world)
    turn = question()
    begun: asyncio.Task[Any] = asyncio.create_task(
        world.engine.answer(turn) if first == "answer" else collect(world.engine, turn)
    )
    await eventually(lambda: world.provider.running)
    joined = asyncio.create_task(world.listen())
    await settle()
    gate.set()
    await begun
    pieces, answer = await joined
    assert "".join(piece.text for piece in pieces) == answer.text == "one two three"
    assert world.calls == 1


async def test_who_joins_a_running_stream_hears_it_from_the_first_piece(world: World) -> None:
    spoken = asyncio.Event()
    go_on = asyncio.Event()

    async def after_each() -> None:
        spoken.set()
        await go_on.wait()

    world.provider.enqueue(FakeReply(text="one two three four", between=after_each))
    early = asyncio.create_task(world.listen())
    await spoken.wait()
    late = asyncio.create_task(world.listen())
    whole = asyncio.create_task(world.ask())
    await settle()
    go_on.set()
    for pieces, answer in (await early, await late):
        assert [piece.text for piece in pieces] == ["one ", "two ", "three ", "four"]
        assert answer.text == "one two three four"
    assert (await whole).text == "one two three four"
    assert world.calls == 1


async def test_a_slow_client_holds_up_neither_the_model_nor_the_others(world: World) -> None:
    world.provider.enqueue("one two three four")
    slow = world.engine.stream(question())
    first = await anext(slow)
    pieces, answer = await world.listen()
    assert answer.text == "one two three four"
    assert "".join(piece.text for piece in pieces) == answer.text
    rest = [item async for item in slow]
    assert isinstance(first, Delta)
    assert isinstance(rest[-1], Answer)
    assert first.text + "".join(item.text for item in rest[:-1]) == rest[-1].text
    assert world.calls == 1


@pytest.mark.parametrize("leaver", ["answer", "stream"])
async def test_one_who_leaves_cancels_nobody_else(world: World, leaver: str) -> None:
    gate = held(world)
    turn = question()
    leaving: asyncio.Task[Any] = asyncio.create_task(
        world.engine.answer(turn) if leaver == "answer" else collect(world.engine, turn)
    )
    await eventually(lambda: world.provider.running)
    staying, listening = asyncio.create_task(world.ask()), asyncio.create_task(world.listen())
    await settle()
    leaving.cancel()
    await settle()
    gate.set()
    whole, (_, streamed) = await staying, await listening
    assert whole.text == streamed.text == "one two three"
    assert (world.calls, world.provider.cancelled) == (1, 0)


async def test_the_model_is_cancelled_when_all_have_left(world: World) -> None:
    held(world)
    asking = [asyncio.create_task(world.ask()), asyncio.create_task(world.listen())]
    await eventually(lambda: world.provider.running)
    await settle()
    for task in asking:
        task.cancel()
    await finished(*asking)
    await eventually(lambda: world.provider.cancelled == 1)
    world.provider.enqueue("once more")
    assert (await world.ask()).text == "once more"


async def test_a_stream_that_is_closed_cancels_the_model(world: World) -> None:
    never = asyncio.Event()
    world.provider.enqueue(FakeReply(text="one two three", between=never.wait))
    stream = world.engine.stream(question())
    await anext(stream)
    await stream.aclose()
    await eventually(lambda: world.provider.cancelled == 1)
    world.provider.enqueue("once more")
    assert (await world.ask()).text == "once more"


async def test_leaving_while_the_source_is_asked_cancels_nobody_else(world: World) -> None:
    world.provider.enqueue("one")
    world.crm.gate = asyncio.Event()
    leaving, staying = asyncio.create_task(world.ask()), asyncio.create_task(world.ask())
    await eventually(lambda: world.crm.calls)
    leaving.cancel()
    await settle()
    world.crm.gate.set()
    assert (await staying).text == "one"
    assert len(world.crm.calls) == 1


async def test_a_failure_reaches_all_and_is_not_kept(world: World) -> None:
    gate = held(world, error=ProviderUnavailableError("down", provider="fake"))
    asking: list[asyncio.Task[Any]] = [asyncio.create_task(world.ask()) for _ in range(10)]
    asking += [asyncio.create_task(world.listen()) for _ in range(10)]
    await eventually(lambda: world.provider.running)
    await settle()
    gate.set()
    for error in await finished(*asking):
        assert isinstance(error, ProviderUnavailableError)
    assert world.calls == 1
    world.provider.enqueue("well again")
    assert (await world.ask()).text == "well again"


async def test_a_failure_in_mid_stream_reaches_all_after_what_was_said(world: World) -> None:
    error = ProviderUnavailableError("down", provider="fake")
    world.provider.enqueue(FakeReply(text="one two three", error=error, error_after=2))

    async def listen() -> list[str]:
        heard: list[str] = []
        try:
            async for item in world.engine.stream(question()):
                heard.append(item.text)  # noqa: PERF401 - kept although the loop fails
        except ProviderUnavailableError:
            heard.append("and then it failed")
        return heard

    for heard in await asyncio.gather(listen(), listen()):
        assert heard == ["one ", "two ", "and then it failed"]
    assert world.calls == 1


async def test_fresh_answers_are_shared_with_nobody(world: World) -> None:
    world.provider.otherwise = lambda call: f"call {len(world.provider.asked)}"
    policies = (CachePolicy(no_cache=True), CachePolicy(no_store=True))
    answers = await asyncio.gather(*(world.ask(cache=policy) for policy in policies * 3))
    assert len({answer.text for answer in answers}) == 6


async def test_scopes_do_not_share(world: World) -> None:
    world.provider.otherwise = lambda call: f"call {len(world.provider.asked)}"
    answers = await asyncio.gather(*(world.ask(caller=Caller(scope=scope)) for scope in ("a", "b", "a", "b")))
    assert len({answer.text for answer in answers}) == 2
    assert answers[0].text == answers[2].text


@pytest.mark.parametrize("joins", ["answer", "stream"])
async def test_who_joins_with_more_time_has_it(
    world: World, joins: str, pass_time: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turn_context, "_DEADLINE_GRACE", 100.0)  # both see what becomes of the call
    gate = held(world)
    now = asyncio.get_running_loop().time()
    first = asyncio.create_task(world.ask(deadline=now + 30))
    await eventually(lambda: world.provider.running)
    turn = question(deadline=now + 300)
    joined: asyncio.Task[Any] = asyncio.create_task(
        world.engine.answer(turn) if joins == "answer" else collect(world.engine, turn)
    )
    await settle()
    pass_time(60)  # the first one's time is over
    await settle()
    assert not joined.done()
    gate.set()
    answer = await joined if joins == "answer" else (await joined)[1]
    assert answer.text == "one two three"
    await first
    assert world.calls == 1


async def test_who_joins_with_less_time_takes_none(
    world: World, pass_time: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turn_context, "_DEADLINE_GRACE", 100.0)  # both see what becomes of the call
    gate = held(world)
    now = asyncio.get_running_loop().time()
    first = asyncio.create_task(world.ask(deadline=now + 300))
    await eventually(lambda: world.provider.running)
    joined = asyncio.create_task(world.ask(deadline=now + 30))
    await settle()
    pass_time(60)  # the time of the one that joined is over
    await settle()
    gate.set()
    assert (await first).text == (await joined).text == "one two three"


async def test_closing_the_engine_tells_who_waits() -> None:
    async with World() as world:
        held(world)
        asking: list[asyncio.Task[Any]] = [asyncio.create_task(world.ask()), asyncio.create_task(world.listen())]
        await eventually(lambda: world.provider.running)
        await settle()
        await world.engine.aclose()
        for error in await finished(*asking):
            assert isinstance(error, OverloadedError)


# --- replicas --------------------------------------------------------------------------------------------


async def test_replicas_share_one_call() -> None:
    store = SharedStore()
    settings: dict[str, Any] = {"store": store, "single_flight_replicas": True, "lease_seconds": 5.0}
    provider = FakeProvider(infos=(PRICED,))
    async with World(provider=provider, **settings) as one:
        store.clock = one.clock
        async with World(provider=provider, crm=one.crm, clock=one.clock, **settings) as two:
            gate = held(one)
            asking: list[asyncio.Task[Any]] = [asyncio.create_task(world.ask()) for world in (one, two) * 50]
            streams = [asyncio.create_task(world.listen()) for world in (one, two) * 5]
            await eventually(lambda: provider.running)
            await settle()
            gate.set()
            assert {answer.text for answer in await asyncio.gather(*asking)} == {"one two three"}
            for pieces, answer in await asyncio.gather(*streams):
                assert "".join(piece.text for piece in pieces) == answer.text == "one two three"
            assert len(provider.asked) == 1
            assert len(one.crm.calls) == 1


async def test_a_stale_answer_is_renewed_although_replicas_share() -> None:
    """What the lease is held for is there already, only too old."""
    store = SharedStore()
    settings: dict[str, Any] = {
        "store": store,
        "single_flight_replicas": True,
        "answers": table(100, stale=50),
        "customers": table(1000),
    }
    async with World(**settings) as world:
        store.clock = world.clock
        world.provider.enqueue("old", "new")
        await world.ask()
        world.clock.advance(120)
        assert (await world.ask()).stale
        await eventually(lambda: world.calls == 2)
        await settle()
        assert (await world.ask()).text == "new"
