"""What an instance may do instead of answering, and what is made of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from functools import partial
from math import nan
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from tests.sources.tilores_client import EDWINA, EDWINA_EMAIL, EDWINA_RECORDS, asked, connected, ids, record_ids
from tests.tilores_instance import TiloresInstance
from tilores_core import Identifiers, SourceError, SourceUnavailableError
from tilores_core.testing.waiting import eventually
from tilores_plugins.sources.tilores import problems
from tilores_plugins.sources.tilores.source import TiloresSource

WHO = Identifiers(email=EDWINA_EMAIL)


@pytest_asyncio.fixture
async def source(instance: TiloresInstance, tmp_path: Path) -> AsyncIterator[TiloresSource]:
    async with connected(instance, tmp_path, timeout_seconds=30) as source:
        await source.schema()
        yield source


def _is_clean(error: SourceError) -> bool:
    """Without a customer's data."""
    return not any(word in str(error).lower() for word in ("edwina", "hawthorne", "example.com"))


# --- second tries ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
async def test_what_may_pass_is_tried_twice(status: int, instance: TiloresInstance, source: TiloresSource) -> None:
    instance.faults.fail(status, times=1)
    assert await source.find(WHO)
    assert [seen.status for seen in asked(instance)] == [status, 200]
    instance.faults.fail(status, times=None)
    with pytest.raises(SourceUnavailableError, match=str(status)) as raised:
        await source.find(WHO)
    assert [seen.status for seen in asked(instance)][2:] == [status, status]
    assert raised.value.fix
    assert _is_clean(raised.value)


async def test_a_connection_that_is_reset_is_tried_twice(instance: TiloresInstance, source: TiloresSource) -> None:
    instance.faults.reset(times=1)
    assert await source.find(WHO)
    instance.faults.cut(times=1)
    assert await source.find(WHO)
    instance.faults.reset(times=None)
    with pytest.raises(SourceUnavailableError, match="cannot be reached"):
        await source.find(WHO)
    assert len(asked(instance)) == 6


async def test_a_pause_that_is_asked_for_is_kept_or_not_waited_for(
    instance: TiloresInstance, source: TiloresSource
) -> None:
    instance.faults.fail(429, times=1, retry_after=0.4)
    began = time.monotonic()
    assert await source.find(WHO)
    assert time.monotonic() - began >= 0.4
    instance.faults.fail(429, times=1, retry_after=30)
    with pytest.raises(SourceUnavailableError) as raised:
        await source.find(WHO)
    assert raised.value.retry_after == 30
    assert len(asked(instance)) == 3, "it would have been too late"


async def test_a_pause_that_is_not_a_number_of_seconds_is_ignored(
    instance: TiloresInstance, source: TiloresSource
) -> None:
    instance.faults.fail(429, times=None, retry_after=nan)
    with pytest.raises(SourceUnavailableError) as raised:
        await source.find(WHO)
    assert raised.value.retry_after == 1


@pytest.mark.parametrize(
    ("status", "body", "says", "fix"),
    [
        (403, None, "forbids", "allow-list"),
        (404, None, "no Tilores API", "without a path"),
        (405, None, "no Tilores API", "without a path"),
        (302, None, "points elsewhere", "TILORES_API_URL"),
        (400, None, r"refused our request \(400\)", "report"),
        (418, None, r"refused our request \(418\)", "report"),
        (400, b"<html>Edwina Hawthorne</html>", "does not speak its protocol", "TILORES_API_URL"),
        (200, b'{"message": "Edwina Hawthorne"}', "does not speak its protocol", "TILORES_API_URL"),
        (200, b'{"data": null, "errors": [{"message": "edwina@example.com"}]}', "errors inside it: 1", "log"),
    ],
)
async def test_what_will_not_pass_is_tried_once(
    status: int, body: bytes | None, says: str, fix: str, instance: TiloresInstance, source: TiloresSource
) -> None:
    instance.faults.fail(status, times=None, body=body)
    with pytest.raises(SourceError, match=says) as raised:
        await source.find(WHO)
    assert not isinstance(raised.value, SourceUnavailableError)
    assert fix in str(raised.value.fix)
    assert _is_clean(raised.value)
    assert len(asked(instance)) == 1


async def test_an_answer_that_is_no_json(instance: TiloresInstance, source: TiloresSource) -> None:
    instance.faults.garbage(times=None)
    with pytest.raises(SourceUnavailableError, match="cannot be read"):
        await source.find(WHO)


async def test_an_entity_that_is_none(instance: TiloresInstance, source: TiloresSource) -> None:
    instance.faults.fail(200, times=None, body=b'{"data": {"s0": {"entities": [{"id": null, "records": 5}]}}}')
    with pytest.raises(SourceUnavailableError, match="cannot be read"):
        await source.find(WHO)


async def test_nobody_listens(instance: TiloresInstance, tmp_path: Path) -> None:
    async with connected(instance, tmp_path, api_url="http://127.0.0.1:9", timeout_seconds=1) as source:
        with pytest.raises(SourceUnavailableError, match="cannot be reached") as raised:
            await source.find(WHO)
    assert "TILORES_API_URL" in str(raised.value.fix)


# --- time ------------------------------------------------------------------------------------------------------


async def until_answered(ask: Callable[[], Awaitable[Any]]) -> Any:
    """A slow machine may need more than one of the short deadlines here."""
    while True:
        with suppress(SourceUnavailableError):
            return await ask()


async def test_a_hanging_instance_ends_at_the_deadline(instance: TiloresInstance, tmp_path: Path) -> None:
    async with connected(instance, tmp_path, timeout_seconds=0.4) as source:
        await until_answered(source.schema)
        instance.faults.hang(times=None)
        with pytest.raises(SourceUnavailableError, match=r"did not answer") as raised:
            await source.find(WHO)
        assert "TILORES_TIMEOUT_SECONDS" in str(raised.value.fix)
        instance.faults.clear()
        assert await until_answered(partial(source.find, WHO)), "it comes back by itself"


async def test_past_the_soft_limit_insights_are_left_out(instance: TiloresInstance, tmp_path: Path) -> None:
    instance.token.latency_seconds = 0.3
    async with connected(instance, tmp_path, timeout_seconds=30, soft_timeout_seconds=0.2) as source:
        (found,) = await source.find(WHO)
        assert found.quality is None
        assert source._status.slow == 1
        (found,) = await source.find(WHO)
        assert found.quality is not None


async def test_a_caller_who_leaves_frees_the_place(instance: TiloresInstance, tmp_path: Path) -> None:
    async with connected(instance, tmp_path, max_in_flight=1, timeout_seconds=30) as source:
        await source.schema()
        instance.faults.hang(times=1)
        caller = asyncio.create_task(source.find(WHO))
        await eventually(lambda: instance.in_flight)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        assert await source.find(WHO)


async def test_after_the_end_there_is_an_error_and_nothing_is_asked(
    instance: TiloresInstance, source: TiloresSource
) -> None:
    await source.aclose()
    before = len(instance.requests)
    with pytest.raises(SourceUnavailableError, match="closed"):
        await source.find(WHO)
    assert len(instance.requests) == before


# --- part of an answer -------------------------------------------------------------------------------------------


async def test_a_field_that_fails_is_done_without(instance: TiloresInstance, source: TiloresSource) -> None:
    instance.faults.break_field("Record", "balance", "boom")
    (found,) = await source.find(WHO)
    assert record_ids(found) == EDWINA_RECORDS
    assert all("balance" not in record.fields for record in found.records)
    assert any("accountStatus" in record.fields for record in found.records)


@pytest.mark.parametrize("field", ["recordInsights", "consistency", "hitScore"])
async def test_insights_that_fail_are_done_without(
    field: str, instance: TiloresInstance, source: TiloresSource
) -> None:
    instance.faults.break_field("Entity", field, "boom")
    (found,) = await source.find(WHO)
    assert record_ids(found) == EDWINA_RECORDS
    assert found.quality is None
    assert len(asked(instance)) == 2
    assert await source.find(WHO)
    assert len(asked(instance)) == 3, "and not asked for again for a while"


async def test_an_insight_that_fails_alone_costs_nothing_else(
    instance: TiloresInstance, source: TiloresSource
) -> None:
    instance.faults.break_field("RecordInsights", "confidence", "boom")
    (found,) = await source.find(WHO)
    assert found.quality is not None
    assert found.quality.confidence == {}
    assert found.quality.consistency is not None
    assert len(asked(instance)) == 1


async def test_records_that_fail_are_an_error(instance: TiloresInstance, source: TiloresSource) -> None:
    instance.faults.break_field("Entity", "records", "edwina@example.com")
    with pytest.raises(SourceError, match="error") as raised:
        await source.find(WHO)
    assert _is_clean(raised.value)


# --- more than can be sent ---------------------------------------------------------------------------------------


def _namesakes(instance: TiloresInstance, people: int, letters: int) -> None:
    for number in range(people):
        record = {"id": f"big-{number}", "source": "big", "firstName": "Ottilie", "lastName": "Grandison"}
        instance.submit({**record, "email": f"o{number}@example.com", "notes": _noise(number, letters)})


def _noise(seed: int, letters: int) -> str:
    """Text that does not compress."""
    from random import Random

    return Random(seed).randbytes(letters // 2).hex()


async def test_too_much_for_one_page_comes_in_halves(instance: TiloresInstance, tmp_path: Path) -> None:
    _namesakes(instance, 10, 20_000)
    instance.service.limit_bytes = 60_000
    async with connected(instance, tmp_path, timeout_seconds=30, soft_timeout_seconds=30) as source:
        found = await source.find(Identifiers(name="Ottilie Grandison"))
    assert len(set(ids(found))) == 10, "nobody of the name is lost"
    assert all(customer.quality and customer.quality.consistency is not None for customer in found)
    sizes = [seen.variables["size"] for seen in asked(instance)]
    assert sizes[0] == 16
    assert {8, 4} <= set(sizes)
    assert all(seen.variables["page"] >= 1 for seen in asked(instance))


def _many_records(instance: TiloresInstance) -> None:
    for number in range(100):
        record = {"id": f"many-{number:03}", "source": "big", "email": "many@example.com", "lastName": "Manyfold"}
        instance.submit({**record, "firstName": "Max", "notes": _noise(number, 2_000)})
    instance.service.limit_bytes = 100_000


async def test_too_many_records_of_one_customer_are_cut_and_insights_kept(
    instance: TiloresInstance, tmp_path: Path
) -> None:
    _many_records(instance)
    async with connected(instance, tmp_path, timeout_seconds=30, soft_timeout_seconds=30) as source:
        (found,) = await source.find(Identifiers(email="many@example.com"))
        assert len(found.records) == 8
        assert found.quality is not None
        assert found.quality.confidence["lastName"] == 1.0
        by_id = await source.get(found.id)
    assert by_id is not None
    assert len(by_id.records) == 8


async def test_when_time_presses_few_records_are_asked_for_at_once(instance: TiloresInstance, tmp_path: Path) -> None:
    _many_records(instance)
    async with connected(instance, tmp_path, timeout_seconds=30, soft_timeout_seconds=0.001) as source:
        (found,) = await source.find(Identifiers(email="many@example.com"))
        assert len(found.records) == 8
        assert len(asked(instance)) == 2


async def test_more_than_can_be_sent_at_all_is_said(instance: TiloresInstance, source: TiloresSource) -> None:
    instance.submit({"id": "huge", "source": "big", "email": "huge@example.com", "notes": _noise(1, 50_000)})
    instance.service.limit_bytes = 20_000
    for ask in (source.find(Identifiers(email="huge@example.com")), source.get("huge")):
        with pytest.raises(SourceError, match="more than the Tilores instance can send") as raised:
            await ask
        assert "include_fields" in str(raised.value.fix)


async def test_the_real_limit_of_six_mebibytes(instance: TiloresInstance, tmp_path: Path) -> None:
    _namesakes(instance, 3, 3_600_000)
    async with connected(instance, tmp_path, timeout_seconds=30, soft_timeout_seconds=30, page_size=4) as source:
        # Three fit by name: one page of four is too much, two of two are not. The second has room for a fourth.
        found = await source.find(Identifiers(name="Ottilie Grandison"), limit=4)
    assert len(found) == 3
    assert sorted(seen.status or 0 for seen in asked(instance)) == [200, 200, 400]
    assert sum(len(str(customer.records[0].fields["notes"])) for customer in found) == 10_800_000


def test_messages_of_the_table_are_all_different() -> None:
    values = {"kind": "x", "status": 400, "code": "", "scope": "tilores/query.search", "count": 2, "what": "search"}
    errors = [problems.lasting(fault, **values) for fault in problems.Fault]
    assert len({error.message for error in errors}) == len(errors)
    assert all(error.fix and "{" not in error.message + error.fix for error in errors)
    assert problems.token_denied(400, "edwina@example.com").message == "the token endpoint refused us (400)"
    assert "invalid_scope" in problems.token_denied(400, "invalid_scope").message


async def test_the_plugin_never_speaks_of_customers_in_its_log(
    instance: TiloresInstance, source: TiloresSource
) -> None:
    with capture_logs() as lines:
        instance.faults.break_field("Record", "balance", "edwina.hawthorne@example.com")
        await source.find(WHO)
        instance.faults.break_field("Entity", "recordInsights", "edwina.hawthorne@example.com")
        await source.find(Identifiers(name="Edwina Hawthorne"))
        await source.get(EDWINA)
    assert "tilores.insights_failed" in {line["event"] for line in lines}
    assert "dwina" not in str(lines)


async def test_an_answer_without_end_is_not_read(
    instance: TiloresInstance, source: TiloresSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tilores_plugins.sources.tilores.transport._MOST_BYTES", 2_000)
    with pytest.raises(SourceError, match="larger than we read"):
        await source.find(Identifiers(name="Edwina Hawthorne"))
