"""Turns of the engine as traces: fallbacks, shared calls, refusals, masks where records are not at hand."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from threading import Barrier, BrokenBarrierError
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.chat.engine_world import ABOUT_EDWINA, EDWINA, World, finished, question
from tilores_core.contracts import (
    Answer,
    Attempt,
    Customer,
    CustomerChoice,
    CustomerOutcome,
    ExperimentArm,
    Outcome,
    Span,
    ToolUse,
    Trace,
    Tracer,
    Usage,
)
from tilores_core.errors import UnknownModelError
from tilores_core.settings import TracingTable
from tilores_core.testing.waiting import eventually
from tilores_core.tracing.capture import Capture
from tilores_core.tracing.tracing import Tracing, deployment_of
from tilores_core.tracing.tree import TreeMaker, is_coalesced, plain_id

ANSWER = Answer(text="a", model="fake:fake-1", prompt_version="v1", customer=CustomerOutcome(kind="unnamed"))


def shown(name: str) -> str:
    return name if name in ("a:1", "b:2", "fake:fake-1") else f"{name.partition(':')[0]}:other"


def trace_of(outcome: Outcome, *, mode: Any = "none", remembered: Mapping[str, Customer] | None = None) -> Trace:
    capture = Capture(mode, longest=1000, remembered=(remembered or {}).get)
    maker = TreeMaker(resolve=lambda name: name or "fake:fake-1", shown=shown, deployment={}, full=mode == "full")
    return maker.trace(outcome, capture.of(outcome))


def spans(trace: Trace, kind: str) -> list[Span]:
    return [span for span in trace.root.children if span.kind == kind]


async def told(world: World, number: int) -> list[Outcome]:
    await eventually(lambda: len(world.outcomes) >= number)
    return world.outcomes


async def test_masks_of_customers_are_made_by_one_thread_at_a_time() -> None:
    meeting, met = Barrier(2), []

    def remembered(_: str) -> None:
        with suppress(BrokenBarrierError):
            meeting.wait(0.2)
            met.append(True)

    capture = Capture("redacted", longest=1000, remembered=remembered)
    answer = Answer(text="", model="m:1", record_fingerprint="f", customer=CustomerOutcome(kind="one"))
    outcome = Outcome(turn=question(ABOUT_EDWINA), answer=answer, timings={"total": 0.1})
    await asyncio.gather(*(asyncio.to_thread(capture.of, outcome) for _ in range(2)))
    assert not met, "the cache of masks is not for two threads"


async def test_calls_stand_in_the_order_they_were_made_with_what_they_cost() -> None:
    attempts = (
        Attempt(model="b:2", seconds=0.2, started=0.3, usage=Usage(input_tokens=5, output_tokens=6), cost=0.25),
        Attempt(model="a:1", seconds=0.1, started=0.1, error="provider_unavailable", cost=0.0),
        Attempt(model="a:1", seconds=0.1, started=0.15, error="cancelled", hedge=True, cost=0.0, first_token=0.02),
    )
    turn = question(model="a:1", run_id=str(uuid4()), session_id="session-1")
    timings = {"customer": 0.1, "total": 0.6}
    arm = ExperimentArm("kinder-1", "kinder", 0, "control", "session-1")
    trace = trace_of(Outcome(turn=turn, answer=ANSWER, timings=timings, attempts=attempts, started_at=100.0, arm=arm))
    first, second, third = spans(trace, "model")
    assert [span.name for span in (first, second, third)] == ["a:1", "a:1", "b:2"]
    assert [span.attributes["fallback"] for span in (first, second, third)] == [False, False, True]
    assert [span.attributes["hedge"] for span in (first, second, third)] == [False, True, False]
    assert (first.error, third.error) == ("provider_unavailable", None)
    assert second.attributes["first_token"] == 0.02
    assert (first.started, first.ended) == (pytest.approx(100.1), pytest.approx(100.2))  # type: ignore[comparison-overlap]
    root = trace.root
    assert (root.attributes["cost"], root.attributes["input_tokens"]) == (0.25, 5)
    assert {"arm:kinder/control", "provider:fake", "cache:miss"} <= set(trace.tags)
    assert trace.session_id == "session-1"
    assert all(root.started <= span.started <= span.ended <= root.ended for span in root.children)
    assert [span.kind for span in root.children] == ["customer", "prompt", "model", "model", "model", "answer"]


async def test_a_shared_call_is_counted_once_and_marked() -> None:
    async with World() as world:
        world.provider.enqueue("It is 700.")
        await asyncio.gather(*(world.ask(run_id=str(uuid4())) for _ in range(3)))
        outcomes = await told(world, 3)
    assert world.calls == 1
    traces = [trace_of(outcome) for outcome in outcomes]
    assert [is_coalesced(outcome) for outcome in outcomes].count(True) == 2
    shared = [trace for trace in traces if "coalesced:true" in trace.tags]
    assert len(shared) == 2
    assert all("cost" not in trace.root.attributes and not spans(trace, "model") for trace in shared)
    paid = [trace.root.attributes["cost"] for trace in traces if "cost" in trace.root.attributes]
    assert len(paid) == 1
    assert paid[0] > 0  # type: ignore[operator]


async def test_look_ups_tell_their_tier_and_how_many_records() -> None:
    async with World() as world:
        world.provider.enqueue("One.", "Two.")
        await world.ask()
        await world.ask()
        await world.ask("And Edwina Hawthorne's city?", customer_id=EDWINA.id)
        miss, hit, other = await told(world, 3)
    assert [(one.customer_tier, one.customer_records) for one in (miss, hit, other)] == [
        ("miss", 2),
        ("l1", 2),
        ("l1", 2),
    ]
    look_up = spans(trace_of(hit), "customer")[0]
    assert look_up.attributes == {"cache_tier": "l1", "outcome": "one", "records": 2}
    assert "cache:l1" in trace_of(hit).tags


async def test_a_model_that_nobody_knows_is_told_without_its_name() -> None:
    async with World() as world:
        with pytest.raises(UnknownModelError):
            await world.ask(model="nobody:knows")
        with pytest.raises(UnknownModelError):
            await world.listen(model="nobody:knows")
        outcomes = await told(world, 2)
        capture = Capture("none", longest=1000, remembered=lambda _: None)
        maker = TreeMaker(resolve=world.models.resolve, shown=world.models.display_name, deployment={}, full=False)
        trace = maker.trace(outcomes[0], capture.of(outcomes[0]))
    assert [outcome.error for outcome in outcomes] == ["unknown_model"] * 2
    assert trace.root.error == "unknown_model"
    assert "nobody" not in str(trace)
    UUID(trace.id)


def test_a_model_that_no_provider_lists_is_told_by_name_only_when_it_answered() -> None:
    failed = Attempt(model="a:Edwina", seconds=0.1, started=0.1, error="unknown_model")
    answered = Attempt(model="b:my-own", seconds=0.1, started=0.2)
    turn = question(model="a:Edwina")
    alone = trace_of(Outcome(turn=turn, answer=None, timings={"total": 1.0}, attempts=(failed,), error="x"))
    assert "Edwina" not in str(alone)
    assert {"provider:a", "model:a:other"} <= set(alone.tags)
    answer = Answer(text="a", model="b:my-own", customer=CustomerOutcome(kind="unnamed"))
    both = trace_of(Outcome(turn=turn, answer=answer, timings={"total": 1.0}, attempts=(failed, answered)))
    assert [span.name for span in spans(both, "model")] == ["a:other", "b:my-own"]
    assert [span.attributes["fallback"] for span in spans(both, "model")] == [False, True]


async def test_failures_are_traced_with_the_calls_that_failed() -> None:
    async with World() as world:
        world.provider.enqueue(*[ConnectionError("down")] * 3)
        await finished(world.ask())
        outcome = (await told(world, 1))[0]
    trace = trace_of(outcome)
    assert trace.root.error
    assert spans(trace, "model")[0].error
    assert not spans(trace, "answer")
    assert f"error:{trace.root.error}" in trace.tags


def test_tools_that_the_server_ran_stand_between_the_calls() -> None:
    attempts = (Attempt(model="a:1", seconds=0.1, started=0.1), Attempt(model="a:1", seconds=0.1, started=0.3))
    tools = (ToolUse(name="search", seconds=0.05, started=0.22, error="source_unavailable"),)
    outcome = Outcome(
        turn=question(), answer=ANSWER, timings={"customer": 0.05, "total": 0.5}, attempts=attempts, tools=tools
    )
    trace = trace_of(outcome)
    tool = spans(trace, "tool")[0]
    assert (tool.name, tool.error, tool.attributes) == ("search", "source_unavailable", {"run_by": "server"})
    assert tool.ended - tool.started == pytest.approx(0.05)
    in_time = sorted(trace.root.children, key=lambda span: span.started)
    assert [span.kind for span in in_time] == ["customer", "prompt", "model", "tool", "model", "answer"]


# --- what is said of texts -------------------------------------------------------------------------------


def _about(kind: Any, text: str, **more: Any) -> Outcome:
    answer = Answer(
        text=text,
        model="fake:fake-1",
        record_fingerprint="f" if kind == "one" else "",
        customer=CustomerOutcome(kind=kind, choices=(CustomerChoice(traits={"city": "Leeds"}),)),
    )
    return Outcome(turn=question(ABOUT_EDWINA), answer=answer, timings={"total": 0.1}, **more)


def test_records_at_hand_mask_what_another_turn_fetched() -> None:
    outcome = _about("one", "Edwina Hawthorne lives in Manchester.")
    known = trace_of(outcome, mode="redacted", remembered={"f": EDWINA})
    assert known.root.outputs["content"] == "[name] lives in [value]."
    unknown = trace_of(outcome, mode="redacted")
    assert (unknown.root.inputs, unknown.root.outputs) == (None, None)
    assert unknown.root.attributes["withheld"] is True


@pytest.mark.parametrize("kind", ["several", "none"])
def test_who_was_named_and_not_found_is_withheld(kind: str) -> None:
    trace = trace_of(_about(kind, "There are several: in Leeds and in York."), mode="redacted")
    assert trace.root.inputs is None
    assert "Leeds" not in str(trace)
    assert "Edwina" not in str(trace)


def test_only_the_last_question_is_told_when_redacted() -> None:
    turn = question("About Robin Ashdown of Dublin, please", "What is the limit?")
    outcome = Outcome(turn=turn, answer=ANSWER, timings={"total": 0.1})
    assert trace_of(outcome, mode="redacted").root.inputs == {
        "messages": [{"role": "user", "content": "What is the limit?"}]
    }
    assert len(trace_of(outcome, mode="full").root.inputs["messages"]) == 3
    assert trace_of(outcome).root.inputs is None


def test_tool_calls_are_steps_named_as_the_caller_named_them() -> None:
    calls = (
        {"id": "1", "type": "function", "function": {"name": "look_up", "arguments": '{"who": "Edwina Hawthorne"}'}},
        {"id": "2", "type": "function", "function": {"name": "Edwina", "arguments": "{}"}},
    )
    answer = Answer(
        text="", model="m:1", tool_calls=calls, record_fingerprint="f", customer=CustomerOutcome(kind="one")
    )
    turn = question(parameters={"tools": [{"type": "function", "function": {"name": "look_up"}}]})
    outcome = Outcome(turn=turn, answer=answer, timings={"total": 0.1}, customer=EDWINA)
    first, second = spans(trace_of(outcome, mode="redacted"), "tool")
    assert (first.name, second.name) == ("look_up", "tool")
    assert first.inputs == {"arguments": '{"who":"[name]"}'}
    assert spans(trace_of(outcome), "tool")[0].inputs is None


def test_a_text_cut_in_the_middle_of_a_value_leaves_no_half_of_it() -> None:
    text = "word " * 199 + "Hawthorne-Manchester" + " and so on" * 50
    outcome = _about("one", text, customer=EDWINA)
    left = trace_of(outcome, mode="redacted").root
    assert left.attributes["cut"] is True
    assert "awth" not in left.outputs["content"]


# --- sampling, ids, deployment ---------------------------------------------------------------------------


def _tracing(random: float = 0.5, tracers: Mapping[str, Tracer] | None = None, **table: Any) -> Tracing:
    class Nowhere:
        async def record(self, traces: object) -> None:
            return None

        async def aclose(self) -> None:
            return None

    return Tracing(
        tracers or {"t": Nowhere()},
        TracingTable(**table),
        resolve=lambda name: name or "fake:fake-1",
        shown=shown,
        remembered=lambda _: None,
        deployment={},
        random=lambda: random,
    )


def test_shares() -> None:
    hit = Outcome(turn=question(), answer=Answer(text="a", model="m", cache_tier="l1"), timings={})
    miss = Outcome(turn=question(), answer=ANSWER, timings={})
    failed = Outcome(turn=question(), answer=None, timings={}, error="internal")
    default = _tracing()
    assert [default.wants(one) for one in (hit, miss, failed)] == [False, True, True]
    nothing = _tracing(sample=0, sample_hits=0)
    assert [nothing.wants(one) for one in (hit, miss, failed)] == [False, False, True]


async def test_turns_beyond_the_queue_are_counted() -> None:
    tracing = _tracing(max_waiting=5)
    for _ in range(8):
        tracing.take(Outcome(turn=question(), answer=ANSWER, timings={}))
    assert tracing.report()["t"]["dropped"] == 3
    assert tracing.report()["t"]["waiting"] == 5


async def test_end_waits_no_longer_for_a_tracer_than_the_flush_seconds() -> None:
    class Hanging:
        async def record(self, traces: object) -> None:
            await asyncio.Event().wait()

        async def aclose(self) -> None:
            return None

    tracing = _tracing(tracers={"t": Hanging()}, schedule_delay_seconds=0, flush_seconds=0.05)
    tracing.take(Outcome(turn=question(), answer=ANSWER, timings={}))
    tracing.start()
    async with asyncio.timeout(60):
        await tracing.aclose()
    assert tracing.report()["t"]["sent"] == 0


async def test_a_turn_of_which_no_trace_can_be_built_is_counted_and_costs_no_other() -> None:
    tracing = _tracing(schedule_delay_seconds=0.01)
    broken: Any = Outcome(turn=question(), answer=ANSWER, timings={"customer": "?"})  # type: ignore[dict-item]
    for outcome in (broken, Outcome(turn=question(), answer=ANSWER, timings={})):
        tracing.take(outcome)
    tracing.start()
    await eventually(lambda: tracing.report()["t"]["sent"] == 1)
    assert tracing.report()["t"]["dropped"] == 1
    await tracing.aclose()


async def test_tracers_share_one_trace() -> None:
    class Keeping:
        def __init__(self) -> None:
            self.traces: list[Trace] = []

        async def record(self, traces: Sequence[Trace]) -> None:
            self.traces += traces

        async def aclose(self) -> None:
            return None

    one, other = Keeping(), Keeping()
    tracing = _tracing(tracers={"one": one, "other": other}, schedule_delay_seconds=0.01)
    tracing.take(Outcome(turn=question(), answer=ANSWER, timings={}))
    tracing.start()
    await eventually(lambda: one.traces and other.traces)
    assert one.traces[0] is other.traces[0]
    await tracing.aclose()


@pytest.mark.parametrize(
    "text", ["session-42", "s1", "0b9d6a34-0f43-4f5f-9bb4-2d6a86b4b0f6", "deadbeefdeadbeef", "req-a1b2c3d4e5f6-1f"]
)
def test_made_up_ids_stay(text: str) -> None:
    assert plain_id(text) == text


@pytest.mark.parametrize(
    "text",
    [
        *("edwina.hawthorne@example.com", "+15035550142", "5035550142", "Edwina Hawthorne", "edwina-1", "hawthorne"),
        *("hawthorne-1", "1983-03-14", "4111111111111111", "call 42", "caller:503-555-0142", "x" * 300),
    ],
)
def test_what_may_be_somebodys_becomes_a_digest_that_still_joins(text: str) -> None:
    assert plain_id(text).startswith("sha256-")
    assert plain_id(text) == plain_id(text) != plain_id(f"{text}.")


def test_railways_ids() -> None:
    variables = {"RAILWAY_DEPLOYMENT_ID": "d", "RAILWAY_REPLICA_ID": "r", "RAILWAY_TOKEN": "secret", "PATH": "/"}
    assert deployment_of(variables) == {"deployment_id": "d", "replica_id": "r"}
    assert deployment_of({}) == {}


def test_former_name_of_the_schedule_delay_is_accepted() -> None:
    assert TracingTable.model_validate({"linger_seconds": 2}).schedule_delay_seconds == 2.0
    assert TracingTable.model_validate({"schedule_delay_seconds": 3}).schedule_delay_seconds == 3.0
