"""What the settings say of an instance's fields goes before what is guessed from their names."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.sources.tilores_client import EDWINA_EMAIL, asked, connected
from tests.tilores_instance import TiloresInstance
from tilores_core import Identifiers, SourceLocale, SourceUnavailableError
from tilores_core.testing.waiting import eventually
from tilores_plugins.sources.tilores.settings import Settings

BY_EMAIL = Identifiers(email=EDWINA_EMAIL)
BY_BIRTH = Identifiers(name="Edwina Hawthorne", date_of_birth="1984-03-17")


async def test_fields_of_the_settings_go_before_guesses(instance: TiloresInstance, tmp_path: Path) -> None:
    given: dict[str, Any] = {"system_field": "lastName", "updated_field": "dateOfBirth", "name_fields": ["lastName"]}
    async with connected(instance, tmp_path, insight_fields=1, **given) as source:
        (found,) = await source.find(BY_EMAIL)
    assert found.name == "Hawthorne"
    assert (found.records[0].system, found.records[0].updated_at) == ("Hawthorne", "1984-03-17")
    assert found.quality is not None
    assert len(found.quality.confidence) == 1


@pytest.mark.parametrize(
    ("setting", "who"), [({"email_fields": ["lastName"]}, BY_EMAIL), ({"date_of_birth_field": "lastName"}, BY_BIRTH)]
)
async def test_customer_whose_named_field_does_not_fit_is_not_found(
    setting: dict[str, Any], who: Identifiers, instance: TiloresInstance, tmp_path: Path
) -> None:
    async with connected(instance, tmp_path / "guessed") as source:
        assert len(await source.find(who)) == 1
    async with connected(instance, tmp_path / "named", **setting) as source:
        assert await source.find(who) == []


async def test_date_of_birth_is_sent_in_the_format_of_the_settings(instance: TiloresInstance, tmp_path: Path) -> None:
    async with connected(instance, tmp_path, date_of_birth_format="%d.%m.%Y") as source:
        await source.find(BY_BIRTH)
    assert asked(instance, "Search")[-1].variables["p0"]["dateOfBirth"] == "17.03.1984"


async def test_region_and_day_order_of_the_settings_are_the_source_s(
    instance: TiloresInstance, tmp_path: Path
) -> None:
    async with connected(instance, tmp_path, phone_region="DE", day_first=False) as source:
        assert source.locale() == SourceLocale(phone_region="DE", day_first=False)


async def test_calls_beyond_those_that_may_wait_are_refused(instance: TiloresInstance, tmp_path: Path) -> None:
    async with connected(instance, tmp_path, max_in_flight=1, max_waiting=1, timeout_seconds=30) as source:
        await source.schema()
        instance.faults.hang(times=1)
        hanging = asyncio.create_task(source.find(BY_EMAIL))
        await eventually(lambda: instance.in_flight == 1)
        waiting = asyncio.create_task(source.find(BY_EMAIL))
        await asyncio.sleep(0)
        with pytest.raises(SourceUnavailableError, match="wait for their turn"):
            await source.find(BY_EMAIL)
        instance.faults.clear()
        assert len(await hanging) == len(await waiting) == 1


def test_milliseconds_are_used_where_no_seconds_are_set() -> None:
    assert Settings(timeout_milliseconds=700).hard_seconds == 0.7
    assert Settings(timeout_milliseconds=700, timeout_seconds=2).hard_seconds == 2
