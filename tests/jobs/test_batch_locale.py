"""Phone numbers and dates are read in one way, wherever they come from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tilores_core.chat.customer.extraction import extract
from tilores_core.chat.tools.own import read_identifiers
from tilores_core.contracts import Identifiers
from tilores_core.identity import Locale
from tilores_core.jobs.batch_input import line_of
from tilores_core.jobs.prewarm.plan import CallPlan, CustomerReference
from tilores_core.jobs.prewarm.runs import CallWarming
from tilores_core.jobs.prewarm.stats import HourlyBudget
from tilores_core.services import load_host, open_services
from tilores_core.settings import LoadedConfig, load_environment
from tilores_core.settings.loader import parse_config
from tilores_core.worker.batches import input_options
from tilores_core.worker.prewarming import request_decoders

PEOPLE = "customer_id,name,phone\n1,Nora Finch,0151 23456789\n"


@pytest.mark.parametrize(
    ("chat", "source", "expected"),
    [
        ("", "", Locale("US", False)),
        ("", 'phone_region = "DE"', Locale("DE", True)),
        ("", 'phone_region = "DE"\nday_first = false', Locale("DE", False)),
        ('phone_region = "GB"', 'phone_region = "DE"', Locale("GB", True)),
        ('phone_region = "GB"\nday_first = false', "day_first = true", Locale("GB", False)),
        ('phone_region = "US"', "day_first = true", Locale("US", True)),
    ],
)
async def test_locale_is_that_of_chat_then_of_the_source_then_by_region(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chat: str, source: str, expected: Locale
) -> None:
    monkeypatch.setenv("TILORES_DATA_DIR", str(tmp_path / "data"))
    (tmp_path / "people.csv").write_text(PEOPLE)
    text = (
        'schema = 1\n[use]\ncache = ["memory"]\nsource = "file"\nmodel = "demo:simulated-1"\n'
        f"[chat]\n{chat}\n[plugins.file]\npath = '{tmp_path / 'people.csv'}'\n{source}\n"
    )
    path = tmp_path / "plugins.toml"
    environment = load_environment()
    loaded = LoadedConfig(config=parse_config(text, path), path=path, packaged=False)
    async with open_services(load_host(environment, loaded=loaded), environment) as services:
        assert services.locale == expected
        assert services.lookup.locale == expected
        columns: Any = input_options(services.locale)
        assert (columns.phone_region, columns.day_first) == (expected.region, expected.day_first)
        assert request_decoders(services.locale).locale == expected


def read_everywhere(locale: Locale, **given: str) -> set[str | None]:
    """What a batch, a pre-warm list, a call that begins and a tool of a model make of a phone number or a date."""
    decoders = request_decoders(locale)
    rest = {"name": "Nora Finch"}
    calls = CallWarming(
        warmer=None,  # type: ignore[arg-type]  # nothing is warmed
        budget=HourlyBudget(calls=1, cost=1),
        plan=CallPlan(),
        locale=locale,
    )
    listed = CustomerReference.model_validate(rest | given, context={"locale": decoders.locale}).identifiers
    columns = input_options(locale)
    row = line_of(rest | given, phone_region=columns.phone_region, day_first=columns.day_first)
    called = calls.normalise(Identifiers(**rest, **given))
    assert called is not None
    (field,) = given
    return {getattr(found, field) for found in (listed, row["identifiers"], called, read_identifiers(given, locale))}


@pytest.mark.parametrize(
    "phone",
    [
        *("0151 23456789", "+49 (0)151 23456789", "0049 151 23456789", "(0151) 234567-89", "tel:+49-151-23456789"),
        *(
            "0151/23456789",
            "015123456789 ext. 4",
            "49 151 23456789",
            "4915123456789",
            "4915123456789.0",
            "151 23456789",
        ),
    ],
)
def test_odd_phone_numbers_are_the_same_number_everywhere(phone: str) -> None:
    assert read_everywhere(Locale.of("DE"), phone=phone) == {"+4915123456789"}
    found = [evidence.value for evidence in extract(f"My phone number is {phone}.", region="DE").evidence]
    assert "+4915123456789" in found


@pytest.mark.parametrize(
    "day",
    [
        *("4/12/1980", "04.12.1980", "4. Dez. 1980", "4 décembre 1980", "December 4, 1980", "4-12-80"),
        *("1980/12/4", "Thu, 4 Dec 1980", "4.12.1980 00:00", "4th of December 1980"),
    ],
)
def test_odd_dates_are_the_same_day_everywhere(day: str) -> None:
    assert read_everywhere(Locale.of("DE"), date_of_birth=day) == {"1980-12-04"}
    found = extract(f"I was born on {day}.", region="DE", day_first=True).evidence
    assert "1980-12-04" in {value for evidence in found for value in (evidence.value, *evidence.alternatives)}
