"""What a caller gets when a provider misbehaves and a healthy one is its fallback: each row, whole and streamed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.e2e.routed_server import BACKUP, REST, WHOLE, Routed, Told, continued, healthy
from tilores_core.testing.fake_upstream import (
    Asked,
    ContentRefused,
    ContextTooLong,
    Cut,
    ErrorEvent,
    Fault,
    Hang,
    HttpError,
    InvalidKey,
    MalformedEvent,
    MalformedReply,
    NoEndMark,
    NoFinish,
    Reply,
    ReplyLike,
    Reset,
    Stall,
)
from tilores_core.testing.waiting import wait_until

FIRST = "The primary speaks first. "
WINDOWS = """
[routing.context_windows]
"primary:small" = 1000
"primary:large" = 1000000
"backup:healthy" = 100000
"""

both_ways = pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])


@pytest.fixture(scope="module")
def routed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Routed]:
    with Routed(tmp_path_factory.mktemp("routed"), WINDOWS) as routed:
        yield routed


@pytest.fixture(autouse=True)
def _healthy(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    for name in ("routed", "others"):
        if name in request.fixturenames:
            request.getfixturevalue(name).backup.otherwise = healthy


def check_whole(told: Told, text: str, model: str) -> None:
    assert (told.status, told.error, told.text, told.model) == (200, None, text, model)
    assert told.ended


# --- it refuses, or cannot be reached --------------------------------------------------------------------


@both_ways
@pytest.mark.parametrize(
    "fault",
    [HttpError(status=429), HttpError(status=429, retry_after=0.2), HttpError(status=500), Reset(), MalformedReply()],
    ids=["429", "429-retry-after", "500", "reset", "a-proxys-page"],
)
def test_what_passes_is_asked_again(routed: Routed, fault: Fault, streamed: bool) -> None:
    model = routed.model(fault)
    check_whole(routed.ask(model, streamed=streamed), WHOLE, model)
    assert routed.calls(model) == 2


def test_retry_after_is_waited_for(routed: Routed) -> None:
    model = routed.model(HttpError(status=429, retry_after=0.5))
    check_whole(routed.ask(model), WHOLE, model)
    first, second = [call.at for call in routed.primary.requests if call.model == model.partition(":")[2]]
    assert second - first >= 0.5


@both_ways
def test_a_long_retry_after_is_not(routed: Routed, streamed: bool) -> None:
    model = routed.model(HttpError(status=429, retry_after=20))
    check_whole(routed.ask(model, streamed=streamed), BACKUP, "backup:healthy")
    assert routed.calls(model) == 1
    check_whole(routed.ask(model, streamed=streamed), BACKUP, "backup:healthy")
    assert routed.calls(model) == 1, "it had asked for peace"


@both_ways
@pytest.mark.parametrize(
    "fault",
    [
        HttpError(status=429),
        HttpError(status=429, retry_after=0.1),
        HttpError(status=429, quota=True),
        HttpError(status=500),
        HttpError(status=503),
        HttpError(status=529),
        InvalidKey(),
        Reset(),
        MalformedReply(),
    ],
    ids=["429", "429-retry-after", "no-credit", "500", "503", "529", "bad-key", "reset", "a-proxys-page"],
)
@pytest.mark.parametrize("langserve", [False, True], ids=["openai", "langserve"])
def test_what_lasts_is_answered_by_the_other(routed: Routed, fault: Fault, streamed: bool, langserve: bool) -> None:
    model = routed.model(always=fault)
    told = (routed.chat if langserve else routed.ask)(model, streamed=streamed)
    check_whole(told, BACKUP, "backup:healthy")
    assert 1 <= routed.calls(model) <= 3


# --- it is silent ----------------------------------------------------------------------------------------


@both_ways
@pytest.mark.parametrize(
    "reply",
    [Hang(), Hang(headers=True), Reply(WHOLE, first_token=20), Reply(WHOLE, seconds=20)],
    ids=["nothing", "headers-alone", "late-token", "late-headers"],
)
def test_a_silent_model_is_left_and_not_tried_again(routed: Routed, reply: ReplyLike, streamed: bool) -> None:
    model = routed.model(always=reply)
    check_whole(routed.ask(model, streamed=streamed), BACKUP, "backup:healthy")
    assert routed.calls(model) == 1


def test_a_silent_model_over_langserve(routed: Routed) -> None:
    for streamed in (False, True):
        model = routed.model(always=Hang())
        check_whole(routed.chat(model, streamed=streamed), BACKUP, "backup:healthy")
        assert routed.calls(model) == 1


# --- it breaks off ---------------------------------------------------------------------------------------

BROKEN: list[Any] = [
    pytest.param(Cut(after=7), id="cut"),
    pytest.param(Cut(after=7, reset=True), id="reset"),
    pytest.param(Stall(after=7), id="stalled"),
    pytest.param(MalformedEvent(after=7), id="malformed-event"),
    pytest.param(ErrorEvent(after=7), id="error-event"),
]
UNFINISHED: list[Any] = [
    pytest.param(NoFinish(), id="no-finish-reason"),
    pytest.param(NoFinish(mark=True), id="end-mark-without-reason"),
]


@pytest.mark.parametrize("fault", [*BROKEN, *UNFINISHED])
def test_a_whole_answer_is_begun_anew_elsewhere(routed: Routed, fault: Fault) -> None:
    model = routed.model(always=Reply(WHOLE, between=0.005, fault=fault))
    check_whole(routed.ask(model), BACKUP, "backup:healthy")
    check_whole(routed.chat(model), BACKUP, "backup:healthy")


@pytest.mark.parametrize("fault", BROKEN)
@pytest.mark.parametrize("langserve", [False, True], ids=["openai", "langserve"])
def test_a_stream_goes_on_behind_its_last_word(routed: Routed, fault: Fault, langserve: bool) -> None:
    model = routed.model(always=Reply(WHOLE, between=0.005, fault=fault))
    told = (routed.chat if langserve else routed.ask)(model, streamed=True)
    assert (told.status, told.error, told.text, told.ended) == (200, None, f"{FIRST}It has – {REST}", True)
    # OpenAI's protocol wants one name in all chunks; who ended it is told beside them.
    assert told.model == ("backup:healthy" if langserve else model)
    assert langserve or told.extension["model"] == "backup:healthy"
    sent = routed.backup.requests[-1].body["messages"]
    assert [message["role"] for message in sent[-3:]] == ["user", "assistant", "user"]
    assert sent[-2]["content"] == f"{FIRST}It has"


@pytest.mark.parametrize(
    "fault", [Cut(after=1), Stall(after=1), MalformedEvent(after=1)], ids=["cut", "stall", "bad"]
)
def test_a_stream_that_broke_off_in_its_first_word_begins_again(routed: Routed, fault: Fault) -> None:
    told = routed.ask(routed.model(always=Reply(WHOLE, between=0.005, fault=fault)), streamed=True)
    assert (told.error, told.text, told.ended) == (None, BACKUP, True)
    assert routed.backup.requests[-1].body["messages"][-1]["role"] == "user"


@pytest.mark.parametrize("fault", UNFINISHED)
def test_a_stream_without_a_reason_for_its_end_is_not_taken_for_whole(routed: Routed, fault: Fault) -> None:
    model = routed.model(always=Reply(WHOLE, fault=fault))
    told = routed.ask(model, streamed=True)
    # Its last word was never known to be one: it is held back, and the other goes on before it.
    assert (told.error, told.text) == (None, f"{FIRST}It has a second sentence. The third one ends – {REST}")


@both_ways
@pytest.mark.parametrize("langserve", [False, True], ids=["openai", "langserve"])
def test_a_finished_answer_without_the_end_mark_is_finished(routed: Routed, streamed: bool, langserve: bool) -> None:
    model = routed.model(always=Reply(WHOLE, fault=NoEndMark()))
    before = routed.backup.counts.total()
    check_whole((routed.chat if langserve else routed.ask)(model, streamed=streamed), WHOLE, model)
    assert routed.backup.counts.total() == before


# --- what goes on must fit -------------------------------------------------------------------------------


def cut_after_a_sentence(routed: Routed) -> str:
    return routed.model(always=Reply(WHOLE, between=0.005, fault=Cut(after=7)))


@pytest.mark.parametrize("langserve", [False, True], ids=["openai", "langserve"])
def test_what_a_continuation_repeats_is_cut_off(routed: Routed, langserve: bool) -> None:
    routed.backup.otherwise = Reply(f"{FIRST}It has – And then something else. The end.")
    told = (routed.chat if langserve else routed.ask)(cut_after_a_sentence(routed), streamed=True)
    assert (told.error, told.text) == (None, f"{FIRST}It has – And then something else. The end.")


@pytest.mark.parametrize("langserve", [False, True], ids=["openai", "langserve"])
def test_a_continuation_that_tells_it_over_again_is_an_error(routed: Routed, langserve: bool) -> None:
    routed.backup.otherwise = Reply(f"Well. {FIRST}The end.")
    model = cut_after_a_sentence(routed)
    told = (routed.chat if langserve else routed.ask)(model, streamed=True)
    assert told.text == f"{FIRST}It has – Well. "
    assert told.error is not None
    assert not told.ended
    if not langserve:
        assert told.error["code"] == "service_unavailable"


def test_a_fallback_that_takes_no_half_answer_is_asked_anew(routed: Routed) -> None:
    def picky(asked: Asked) -> ReplyLike:
        return HttpError(status=400) if continued(asked) else f"{FIRST}It has – The rest is another's. It ends."

    routed.backup.otherwise = picky
    told = routed.ask(cut_after_a_sentence(routed), streamed=True)
    assert (told.error, told.text) == (None, f"{FIRST}It has – The rest is another's. It ends.")


def test_what_it_answers_then_must_begin_with_what_was_said(routed: Routed) -> None:
    def picky(asked: Asked) -> ReplyLike:
        return HttpError(status=400) if continued(asked) else BACKUP

    routed.backup.otherwise = picky
    told = routed.ask(cut_after_a_sentence(routed), streamed=True)
    assert told.text == f"{FIRST}It has "
    assert told.error is not None
    assert (told.error["type"], told.error["code"]) == ("server_error", "service_unavailable")
    assert "400" not in told.error["message"]
    assert "primary" in str(routed.server.lines(event="model.call_failed")[-2]["model"])


# --- the request itself ----------------------------------------------------------------------------------


@both_ways
def test_too_long_goes_to_a_larger_window(routed: Routed, streamed: bool) -> None:
    routed.primary.always["small"] = ContextTooLong()
    calls = routed.calls("primary:small")
    check_whole(routed.ask("primary:small", streamed=streamed), BACKUP, "backup:healthy")
    assert routed.calls("primary:small") == calls + 1


@both_ways
@pytest.mark.parametrize("model", ["primary:large", "primary:unknown"])
def test_too_long_for_all_is_said(routed: Routed, model: str, streamed: bool) -> None:
    routed.primary.always[model.partition(":")[2]] = ContextTooLong()
    calls, others = routed.calls(model), routed.backup.counts.total()
    told = routed.ask(model, streamed=streamed)
    assert told.status == 400
    assert told.error is not None
    assert told.error["code"] == "context_length_exceeded"
    assert (routed.calls(model), routed.backup.counts.total()) == (calls + 1, others)
    assert routed.chat(model, streamed=streamed).status == 422


@both_ways
def test_refused_content_is_refused(routed: Routed, streamed: bool) -> None:
    model = routed.model(always=ContentRefused())
    others = routed.backup.counts.total()
    told = routed.ask(model, streamed=streamed)
    assert told.status == 400
    assert told.error is not None
    assert told.error["code"] == "content_filter"
    assert "refuses the content: " in told.error["message"], "the provider's own reason"
    assert (routed.calls(model), routed.backup.counts.total()) == (1, others)
    answer = routed.chat(model, streamed=streamed)
    assert answer.status == 422
    assert "refuses the content: " in str(answer.error)


@both_ways
def test_content_refused_in_the_middle_ends_there_and_says_so(routed: Routed, streamed: bool) -> None:
    model = routed.model(always=Reply(FIRST.strip(), finish="content_filter"))
    told = routed.ask(model, streamed=streamed)
    check_whole(told, FIRST.strip(), model)
    assert told.finish == "content_filter"


# --- down, and back --------------------------------------------------------------------------------------


def test_down_for_a_while_then_back(routed: Routed) -> None:
    model = routed.model(always=HttpError(status=503))
    begun = time.monotonic()
    for number in range(30):
        check_whole(routed.ask(model, streamed=number % 2 == 0), BACKUP, "backup:healthy")
        time.sleep(0.03)  # a steady load
    # Three failures open the breaker, then one call in half a second tries.
    assert 4 <= routed.calls(model) <= 4 + (time.monotonic() - begun) / 0.5
    part = httpx.get(f"{routed.server.url}/health/detailed", headers=routed.server.admin).json()["parts"]["model"]
    assert part["status"] == "degraded"
    assert model not in part["detail"]["asked"], "nobody lists it: what a client made up is not told"
    assert part["detail"]["asked"]["primary:other"]["breaker"] in ("open", "half_open")
    assert part["detail"]["asked"]["backup:healthy"]["breaker"] == "closed"
    name = model.partition(":")[2]
    routed.primary.always[name] = Reply(WHOLE)
    end = time.monotonic() + 60
    while (told := routed.ask(model)).model != model:
        check_whole(told, BACKUP, "backup:healthy")
        assert time.monotonic() < end, "never back"
        time.sleep(0.02)  # a steady load
    check_whole(told, WHOLE, model)


def test_one_models_breaker_is_not_anothers(routed: Routed) -> None:
    down = routed.model(always=HttpError(status=500))
    for _ in range(4):
        check_whole(routed.ask(down), BACKUP, "backup:healthy")
    well = routed.model()
    check_whole(routed.ask(well), WHOLE, well)


def test_refused_requests_open_no_breaker(routed: Routed) -> None:
    model = routed.model(*[HttpError(status=400)] * 8)
    for _ in range(8):
        assert routed.ask(model).status == 400
    check_whole(routed.ask(model), WHOLE, model)


# --- held back, and asked twice --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def careful(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Routed]:
    with Routed(tmp_path_factory.mktemp("careful"), 'on_stream_failure = "buffer"\nhedge = true') as routed:
        yield routed


@pytest.mark.parametrize("fault", [*BROKEN, *UNFINISHED])
def test_held_back_until_it_is_whole(careful: Routed, fault: Fault) -> None:
    model = careful.model(always=Reply(WHOLE, between=0.005, fault=fault))
    check_whole(careful.ask(model, streamed=True), BACKUP, "backup:healthy")
    check_whole(careful.chat(model, streamed=True), BACKUP, "backup:healthy")


def test_a_late_first_token_brings_a_second_call(careful: Routed) -> None:
    model = careful.model()
    for _ in range(20):
        check_whole(careful.ask(model), WHOLE, model)
    name = model.partition(":")[2]
    left, before = careful.primary.disconnects, careful.calls(model)
    careful.primary.enqueue(Hang(), model=name)
    told = careful.ask(model)
    check_whole(told, WHOLE, model)
    assert careful.calls(model) == before + 2, "the second call answered"
    wait_until(lambda: careful.primary.disconnects != left, "the first call was not cancelled")


# --- another policy, and the filler ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Routed]:
    routing = 'on_stream_failure = "error"\nfiller = "One moment."\nfiller_seconds = 0.2'
    with Routed(tmp_path_factory.mktemp("others"), routing) as routed:
        yield routed


@pytest.mark.parametrize("fault", [*BROKEN, *UNFINISHED])
def test_an_error_at_the_break(others: Routed, fault: Fault) -> None:
    model = others.model(always=Reply(WHOLE, between=0.001, fault=fault))
    for ask in (others.ask, others.chat):
        told = ask(model, streamed=True)
        text = told.text.removeprefix("One moment. ")
        assert told.error is not None
        assert WHOLE.startswith(text)
        assert text
        assert not told.ended


@pytest.mark.parametrize("fault", [HttpError(status=503), Reset()], ids=["503", "reset"])
def test_before_the_first_piece_another_is_asked(others: Routed, fault: Fault) -> None:
    for ask in (others.ask, others.chat):
        told = ask(others.model(always=fault), streamed=True)
        assert (told.text.removeprefix("One moment. "), told.error) == (BACKUP, None)


def test_a_late_first_token_is_bridged(others: Routed) -> None:
    model = others.model(always=Reply(WHOLE, first_token=0.5))
    for ask in (others.ask, others.chat):
        told = ask(model, streamed=True)
        assert (told.text, told.error, told.model) == (f"One moment. {WHOLE}", None, model)
        assert ask(model).text == WHOLE
    prompt = [call.body for call in others.primary.requests if call.model == model.partition(":")[2]]
    assert "One moment" not in str(prompt)
