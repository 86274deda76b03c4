"""The parts of routing alone: the watch, the limit, the breaker's permits, the second call, the delivery."""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections.abc import Callable

import pytest

from tilores_core.chat.routing.budget import Budget
from tilores_core.chat.routing.delivery import DirectDelivery, Start, WordDelivery
from tilores_core.chat.routing.health import Health
from tilores_core.chat.routing.hedge import Claim, hedged
from tilores_core.chat.routing.joint import CannotJoinError
from tilores_core.chat.routing.limits import ProviderLimit
from tilores_core.chat.routing.watch import Watch, WatchExpiredError
from tilores_core.contracts import Delta, Turn
from tilores_core.errors import OverloadedError
from tilores_core.resilience import Priority
from tilores_core.settings import RoutingTable
from tilores_core.testing.waiting import Clock, eventually, settle

# --- the budget ------------------------------------------------------------------------------------------


def test_a_first_token_gets_half_of_what_is_left_at_most() -> None:
    turn = Turn(messages=({"role": "user", "content": "?"},))
    budget = Budget.of(turn, default=60.0)
    assert 59 < budget.remaining() <= 60
    first, whole = budget.patience(8.0, last=False)
    assert first == 8.0
    assert 29 < whole <= 30
    assert budget.patience(8.0, last=True) == (math.inf, math.inf)
    short = Budget(time.monotonic() + 4)
    assert 1.9 < short.patience(8.0, last=False)[0] <= 2
    assert Budget(time.monotonic() - 1).remaining() == 0
    short.extend(budget)
    budget.extend(Budget(0.0))
    assert short == budget


# --- the watch -------------------------------------------------------------------------------------------


def watch(first: float = 10.0, between: float = 10.0, left: float = 10.0) -> Watch:
    return Watch(first=first, between=between, budget=Budget(time.monotonic() + left))


@pytest.mark.parametrize(
    ("limits", "reason"),
    [({"first": 0.01}, "silent"), ({"left": 0.01}, "late"), ({"first": 0.0, "left": 5.0}, "silent")],
)
async def test_silence_ends_the_wait(limits: dict[str, float], reason: str) -> None:
    with pytest.raises(WatchExpiredError) as caught, watch(**limits):
        await asyncio.sleep(20)
    assert caught.value.reason == reason
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_what_is_heard_puts_it_off(pass_time: Callable[[float], None]) -> None:
    heard = 0

    async def listen() -> None:
        nonlocal heard
        with watch(between=60.0, left=1000.0) as watching:
            for _ in range(3):
                heard += 1
                watching.heard()
                pass_time(40.0)  # two of them are longer than the limit
                await settle()
            pass_time(40.0)
            await asyncio.Event().wait()

    with pytest.raises(WatchExpiredError) as caught:
        await listen()
    assert (caught.value.reason, heard) == ("stalled", 3)


async def test_after_the_last_word_it_hurries() -> None:
    async def listen() -> None:
        with watch() as watching:
            watching.heard()
            watching.hurry(0.01)
            await asyncio.sleep(20)

    with pytest.raises(WatchExpiredError):
        await listen()


async def test_a_cancellation_from_elsewhere_stays_one() -> None:
    async def work() -> None:
        with watch():
            await asyncio.sleep(20)

    task = asyncio.create_task(work())
    await settle(3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("spoken", [False, True])
async def test_more_time_may_be_given_meanwhile(spoken: bool, pass_time: Callable[[float], None]) -> None:
    budget = Budget(time.monotonic() + 30.0)
    slept = False

    async def listen() -> None:
        nonlocal slept
        with Watch(first=math.inf, between=1000.0, budget=budget) as watching:
            if spoken:
                watching.heard()
            budget.extend(Budget(time.monotonic() + 200.0))
            pass_time(60.0)  # longer than the first budget
            await settle()
            slept = True
            pass_time(200.0)
            await asyncio.Event().wait()

    with pytest.raises(WatchExpiredError) as caught:
        await listen()
    assert (slept, caught.value.reason) == (True, "late")


async def test_an_end_in_time_leaves_nothing_behind() -> None:
    with watch(first=0.01):
        pass
    await asyncio.sleep(0.02)  # the time of the watch passes


# --- how many at once ------------------------------------------------------------------------------------


async def test_live_calls_go_before_the_others() -> None:
    limit = ProviderLimit("p", limit=1, max_waiting=10)
    assert limit.try_enter(live=True)
    order: list[str] = []

    async def call(name: str, live: bool) -> None:
        await limit.enter(Priority("live" if live else "batch"), seconds=60)
        order.append(name)
        await asyncio.sleep(0)
        limit.leave()

    tasks = [asyncio.create_task(call(f"batch{n}", False)) for n in range(2)]
    await settle(3)
    tasks += [asyncio.create_task(call(f"live{n}", True)) for n in range(2)]
    await settle(3)
    assert limit.waiting == 4
    limit.leave()
    await asyncio.gather(*tasks)
    assert order == ["live0", "live1", "batch0", "batch1"]
    assert (limit.busy, limit.waiting) == (0, 0)


async def test_who_rises_in_line_goes_before_the_others() -> None:
    limit = ProviderLimit("p", limit=4, max_waiting=10)
    assert all(limit.try_enter(live=False) for _ in range(3))
    priorities = [Priority("prewarm") for _ in range(3)]
    tasks = [asyncio.create_task(limit.enter(priority, seconds=60)) for priority in priorities]
    await settle(3)
    assert limit.waiting == 3
    priorities[1].promote()  # the place that is kept for callers is free
    await tasks[1]
    priorities[2].promote()
    limit.leave()
    await tasks[2]
    assert (limit.busy, limit.waiting) == (4, 1)
    tasks[0].cancel()
    await asyncio.gather(tasks[0], return_exceptions=True)
    assert limit.waiting == 0
    assert not priorities[0]._callbacks


def test_work_behind_the_scenes_leaves_room() -> None:
    limit = ProviderLimit("p", limit=8, max_waiting=0)
    assert sum(limit.try_enter(live=False) for _ in range(20)) == 6
    assert sum(limit.try_enter(live=True) for _ in range(20)) == 2


async def test_waiting_is_bounded_in_number_and_time() -> None:
    limit = ProviderLimit("p", limit=1, max_waiting=1)
    assert limit.try_enter(live=True)
    waiting = asyncio.create_task(limit.enter(Priority("live"), seconds=0.05))
    await settle(2)
    with pytest.raises(OverloadedError):
        await limit.enter(Priority("live"), seconds=60)
    with pytest.raises(OverloadedError):
        await waiting
    assert (limit.busy, limit.waiting) == (1, 0)


async def test_who_leaves_in_the_moment_of_his_turn_passes_it_on() -> None:
    limit = ProviderLimit("p", limit=1, max_waiting=5)
    assert limit.try_enter(live=True)
    first, second = (asyncio.create_task(limit.enter(Priority("live"), seconds=60)) for _ in range(2))
    await settle(3)
    limit.leave()
    first.cancel()
    await second
    assert (limit.busy, limit.waiting) == (1, 0)
    third = asyncio.create_task(limit.enter(Priority("live"), seconds=60))
    await settle(3)
    third.cancel()
    await asyncio.gather(first, third, return_exceptions=True)
    limit.leave()
    assert (limit.busy, limit.waiting) == (0, 0)


# --- a model's health ------------------------------------------------------------------------------------


def health(**routing: float) -> tuple[Health, Clock]:
    clock = Clock()
    return Health(RoutingTable(**{"breaker_failures": 2, "breaker_seconds": 10, **routing}), clock), clock


def fail(known: Health, times: int, *, certain: bool = False) -> None:
    for _ in range(times):
        permit = known.of("m").admit()
        assert permit is not None
        permit.failed(certain=certain)


def test_one_call_tries_a_model_that_failed() -> None:
    known, clock = health()
    fail(known, 2)
    assert known.of("m").admit() is None
    assert known.of("other").admit() is not None
    clock.advance(10)
    probe = known.of("m").admit()
    assert probe is not None
    assert probe.probe
    assert known.of("m").admit() is None
    probe.failed()
    assert known.of("m").admit() is None
    clock.advance(10)
    probe = known.of("m").admit()
    assert probe is not None
    probe.succeeded(0.1)
    assert known.report()["m"]["breaker"] == "closed"


def test_a_probe_that_says_nothing_is_made_again() -> None:
    known, clock = health()
    fail(known, 2)
    clock.advance(10)
    for _ in range(3):
        probe = known.of("m").admit()
        assert probe is not None
        probe.release()


def test_calls_from_before_do_not_disturb_the_probe() -> None:
    known, clock = health()
    old = [known.of("m").admit() for _ in range(3)]
    fail(known, 2)
    clock.advance(10)
    probe = known.of("m").admit()
    assert probe is not None
    for permit, report in zip(old, ("release", "failed", "succeeded"), strict=True):
        assert permit is not None
        permit.succeeded(0.1) if report == "succeeded" else getattr(permit, report)()
        assert known.of("m").admit() is None
    probe.succeeded(0.1)
    assert known.of("m").admit() is not None


def test_one_failure_may_be_enough() -> None:
    known, _ = health()
    fail(known, 1, certain=True)
    assert known.report()["m"] == {
        "breaker": "open",
        "opened": 1,
        "resting_s": 0.0,
        "held_s": {},
        "first_token_p95_ms": None,
    }


def test_a_rest_is_kept_and_bounded() -> None:
    known, clock = health()
    known.of("m").pause_for(3600)
    assert known.of("m").admit() is None
    assert known.report()["m"]["resting_s"] == 30.0
    clock.advance(31)
    assert known.of("m").admit() is not None


def test_how_late_is_late() -> None:
    known, _ = health()
    for number in range(19):
        known.of("m").note(number / 100)
    assert known.of("m").first_token_p95() is None
    known.of("m").note(5.0)
    assert known.of("m").first_token_p95() == 0.18


def test_names_that_callers_make_up_do_not_pile_up() -> None:
    known, _ = health()
    for number in range(1000):
        known.of(f"p:{number}").admit()
    assert len(known.report()) == 256


# --- the second call -------------------------------------------------------------------------------------


class Runs:
    """Runs that wait until they are let go; `said` is whoever had leave to speak."""

    def __init__(self) -> None:
        self.gates = {False: asyncio.Event(), True: asyncio.Event()}
        self.begun: list[bool] = []
        self.cancelled: list[bool] = []
        self.fails: set[bool] = set()

    async def __call__(self, claim: Claim, second: bool) -> str:
        self.begun.append(second)
        try:
            await self.gates[second].wait()
            if second in self.fails:
                raise ValueError(f"second={second}")
            return f"second={second}" if claim() else "not mine"
        except asyncio.CancelledError:
            self.cancelled.append(second)
            raise


async def test_a_prompt_answer_needs_no_second_call() -> None:
    runs = Runs()
    runs.gates[False].set()
    assert await hedged(runs, after=5) == "second=False"
    assert runs.begun == [False]


@pytest.mark.parametrize("winner", [False, True])
async def test_who_speaks_first_goes_on_and_the_other_is_cancelled(winner: bool) -> None:
    runs = Runs()
    result = asyncio.create_task(hedged(runs, after=0.01))
    await eventually(lambda: len(runs.begun) >= 2)
    runs.gates[winner].set()
    assert await result == f"second={winner}"
    assert runs.cancelled == [not winner]


async def test_one_that_fails_leaves_it_to_the_other() -> None:
    runs = Runs()
    runs.fails = {True}
    result = asyncio.create_task(hedged(runs, after=0.01))
    await eventually(lambda: len(runs.begun) >= 2)
    runs.gates[True].set()
    await settle(5)
    runs.gates[False].set()
    assert await result == "second=False"


async def test_both_fail_with_the_first_ones_error() -> None:
    runs = Runs()
    runs.fails = {False, True}
    for gate in runs.gates.values():
        gate.set()
    with pytest.raises(ValueError, match="second=False"):
        await hedged(runs, after=0.0)


async def test_cancelled_it_cancels_both() -> None:
    runs = Runs()
    result = asyncio.create_task(hedged(runs, after=0.01))
    await eventually(lambda: len(runs.begun) >= 2)
    result.cancel()
    with pytest.raises(asyncio.CancelledError):
        await result
    assert sorted(runs.cancelled) == [False, True]


# --- the delivery ----------------------------------------------------------------------------------------


class Listener:
    def __init__(self) -> None:
        self.heard: list[Delta] = []

    def __call__(self, delta: Delta) -> None:
        self.heard.append(delta)

    @property
    def texts(self) -> list[str]:
        return [delta.text for delta in self.heard]


def say(
    delivery: WordDelivery | DirectDelivery, start: Start, *pieces: str, finish: bool = True, model: str = "m"
) -> None:
    delivery.begin(model, start)
    for piece in pieces:
        delivery.add(Delta(text=piece))
    if finish:
        delivery.finish()


def test_straight_pieces_name_the_model_once() -> None:
    listener = Listener()
    say(DirectDelivery(listener), "fresh", "one ", "two")
    assert [(delta.text, delta.model) for delta in listener.heard] == [("one ", "m"), ("two", None)]


@pytest.mark.parametrize(
    ("pieces", "heard", "held"),
    [
        (["Her", " balance", " is", " fine", "."], ["Her", " ", "balance ", "is "], "fine."),
        (["One is", " here. Two", " is no"], ["One ", "is here. ", "Two is "], "no"),
        (["It is ", "1 ", "234", ".50 ", "euros ", "now"], ["It is ", "1 234.50 euros "], "now"),
        (["Sie hat 3", ",5", " Mill", "ionen", " Euro"], ["Sie hat ", "3,5 Millionen "], "Euro"),
        (["It is $", "40", ", due", " on"], ["It is ", "$40, ", "due "], "on"),
        (["40", " euros", " are"], ["40 euros "], "are"),
        (["In Q3", " 2031", " it", " was"], ["In ", "Q3 ", "2031 it "], "was"),
        ([f" {n}" for n in range(10, 24)], [" 10 11 12 13 14 15 16 17 18 19 20 21 22 "], "23"),
        (["残高は", "4", "0円", "です", "。"], ["残高は", "40円", "です", "。"], ""),
        ([" ", "\n", "Yes"], [" \nYes"], ""),
        (["Yes", "!"], ["Yes"], "!"),
    ],
)
def test_words_go_out_as_they_end(pieces: list[str], heard: list[str], held: str) -> None:
    listener = Listener()
    delivery = WordDelivery(listener, longest=300)
    say(delivery, "fresh", *pieces, finish=False)
    assert (listener.texts, delivery.resumable) == (heard, True)
    assert "".join([*listener.texts, held]) == "".join(pieces)
    delivery.finish()
    assert delivery.text == "".join(pieces)


@pytest.mark.parametrize("text", ["It is $1 234.50, due on 1 May 2031.", "Er hat 3,5 Millionen Euro und 7 % Zins."])
def test_amount_is_never_heard_by_halves(text: str) -> None:
    for at in range(1, len(text)):
        delivery = WordDelivery(Listener(), longest=300)
        say(delivery, "fresh", *text[:at], finish=False)
        assert re.search(r"[\d$]\s*$", delivery.text) is None, text[:at]


def test_sentence_that_breaks_off_is_continued_from_its_last_word() -> None:
    delivery = WordDelivery(Listener(), longest=24)
    say(delivery, "fresh", "this goes on and on, and does", finish=False)
    say(delivery, "continued", "goes on and on, and then it ends.")
    assert delivery.text == "this goes on and on, and then it ends."


@pytest.mark.parametrize(
    ("before", "continuation", "joined"),
    [
        ("One is here. Tw", "  Two it is.", "One is here. Two it is."),
        ("これは一です。", "二です。", "これは一です。二です。"),
        ("- one\n- tw", "- two\n- three", "- one\n- two\n- three"),
    ],
)
def test_a_continuation_joins_with_the_space_it_needs(before: str, continuation: str, joined: str) -> None:
    delivery = WordDelivery(Listener(), longest=300)
    say(delivery, "fresh", before, finish=False)
    say(delivery, "continued", continuation, model="other")
    assert delivery.text == joined


@pytest.mark.parametrize(
    ("again", "text"),
    [
        ("One is here. Then two.", "One is here. Then two."),
        ("one is  HERE! Then two.", "One is here. Then two."),
        ("One is here, and then two.", "One is here. One is here, and then two."),
    ],
)
def test_a_sentence_that_a_continuation_repeats_is_cut_off(again: str, text: str) -> None:
    delivery = WordDelivery(Listener(), longest=300)
    say(delivery, "fresh", "One is here. Tw", finish=False)
    say(delivery, "continued", again)
    assert delivery.text == text


def test_a_continuation_that_tells_a_sentence_over_again_is_refused() -> None:
    delivery = WordDelivery(Listener(), longest=300)
    say(delivery, "fresh", "One is here. Tw", finish=False)
    with pytest.raises(CannotJoinError):
        say(delivery, "continued", "Then two is. One is here. So.")
    assert delivery.text == "One is here. Then two is. "


@pytest.mark.parametrize(
    ("again", "text"),
    [
        ("Certainly, it is.", "Certainly, it is."),
        ("Cert. It is.", "Cert. It is."),
        ("It is so.", "Cert – It is so."),
        ("هو كذلك.", "Cert – هو كذلك."),
        ("it is so.", "Cert it is so."),
    ],
)
def test_answer_that_broke_off_in_its_first_word_begins_again(again: str, text: str) -> None:
    for pieces in ([again], again):
        delivery = WordDelivery(Listener(), longest=300)
        say(delivery, "fresh", "Cert", finish=False)
        say(delivery, "continued", *pieces)
        assert delivery.text == text


def test_a_short_word_may_come_again_later() -> None:
    delivery = WordDelivery(Listener(), longest=300)
    say(delivery, "fresh", "Yes. It is so. A", finish=False)
    say(delivery, "continued", "And it is paid. Yes. Fine.")
    assert delivery.text == "Yes. It is so. And it is paid. Yes. Fine."


def test_an_answer_given_again_goes_on_behind_what_was_said() -> None:
    listener = Listener()
    delivery = WordDelivery(listener, longest=300)
    say(delivery, "fresh", "One is here. Then tw", finish=False)
    say(delivery, "again", "One ", "is here. Th", "en another one. End.")
    assert delivery.text == "One is here. Then another one. End."
    assert listener.texts == ["One is here. Then ", "another one. ", "End."]


def test_an_answer_given_again_begins_the_open_sentence_again() -> None:
    delivery = WordDelivery(Listener(), longest=300)
    say(delivery, "fresh", "One is here. Then tw", finish=False)
    say(delivery, "again", "One ", "is here. The", "re are two. End.")
    assert delivery.text == "One is here. Then – There are two. End."


@pytest.mark.parametrize("again", ["Something else. Really it is.", "One"])
def test_another_answer_is_not_joined(again: str) -> None:
    delivery = WordDelivery(Listener(), longest=300)
    say(delivery, "fresh", "One is here. Tw", finish=False)
    with pytest.raises(CannotJoinError):
        say(delivery, "again", again)


@pytest.mark.parametrize("size", [1, 50_000])
def test_word_without_an_end_goes_out_in_a_time_that_grows_with_its_length(size: int) -> None:
    heard = Listener()
    delivery = WordDelivery(heard, longest=300)
    delivery.begin("acme:a", "fresh")
    for _ in range(100_000 // size):
        delivery.add(Delta(text="x" * size))
    delivery.finish()
    assert "".join(heard.texts) == "x" * 100_000
