"""Dates in files: one order per column, every common form, and the newest record by time and not by text."""

from __future__ import annotations

from datetime import date

import pytest

from tests.sources.file_world import Make, ids
from tilores_plugins.sources.dates import to_date, to_instant

HEADER = "customer_id,name,date_of_birth\n"


async def born(source_rows: str, opened: Make, day: str, **settings: object) -> list[str]:
    return await ids(opened(HEADER + source_rows, **settings), date_of_birth=day)


async def test_date_order_is_that_which_the_column_proves(opened: Make) -> None:
    rows = "1,Nora Finch,05/11/1979\n2,Omar Reed,11/05/1979\n3,Pia Stone,23/05/1984\n"
    assert await born(rows, opened, "1979-11-05") == ["1"]
    assert await born(rows, opened, "1979-05-11") == ["2"]
    rows = rows.replace("23/05", "05/23")
    assert await born(rows, opened, "1979-05-11") == ["1"]


async def test_mixed_column_leaves_doubtful_dates_unread_and_warns(opened: Make) -> None:
    source = opened(HEADER + "1,Nora Finch,05/11/1979\n2,Omar Reed,25/05/1979\n3,Pia Stone,05/23/1984\n")
    assert await ids(source, date_of_birth="1979-05-11") == []
    assert await ids(source, date_of_birth="1979-11-05") == []
    assert await ids(source, date_of_birth="1979-05-25") == ["2"]
    assert any("mixes day/month" in warning for warning in (await source.report()).warnings)


@pytest.mark.parametrize(("region", "day"), [(None, "1979-05-11"), ("US", "1979-05-11"), ("GB", "1979-11-05")])
async def test_undecidable_column_goes_by_the_region_and_warns(opened: Make, region: str | None, day: str) -> None:
    source = opened(HEADER + "1,Nora Finch,05/11/1979\n", phone_region=region)
    assert await ids(source, date_of_birth=day) == ["1"]
    assert any("set day_first" in warning for warning in (await source.report()).warnings)


async def test_day_first_setting_decides_and_contradictions_are_reported(opened: Make) -> None:
    source = opened(HEADER + "1,Nora Finch,05/11/1979\n2,Omar Reed,05/23/1979\n", day_first=True)
    assert await ids(source, date_of_birth="1979-11-05") == ["1"]
    assert any("prove the other order" in warning for warning in (await source.report()).warnings)


@pytest.mark.parametrize(
    "text",
    [
        *("1979-05-11", "19790511", "1979/5/11", "1979.05.11", "11.05.1979", "11.5.79", "11-May-79", "11 May 1979"),
        *(
            "May 11th, 1979",
            "11th of May 1979",
            "11. Mai 1979",
            "11 mai 1979",
            "11 de mayo de 1979",
            "11 maggio 1979",
        ),
        *("11 mei 1979", "11 de maio de 1979", "Friday, 11 May 1979", "1979-05-11 00:00:00", "1979-05-11T00:00:00Z"),
        *("05/11/1979 12:00 AM", "28986", "11 MAY 79", "19790511.0", "295228800", "295228800000", "28986,0"),
    ],
)
def test_dates_of_every_common_form_are_read(text: str) -> None:
    assert to_date(text, "month", birth=True) == "1979-05-11"


@pytest.mark.parametrize(
    "text",
    ["", "soon", "31.02.1979", "1979", "05/1979", "00.00.0000", "11 Foo 1979", "9" * 80, "1979-05-10T22:00:00.000Z"],
)
def test_what_is_not_a_date_is_not_read(text: str) -> None:
    assert to_date(text, "month", birth=True) is None


def test_two_digit_years_of_birth_are_those_of_grown_customers() -> None:
    year = date.today().year % 100
    assert to_date(f"11 May {year - 10:02}", "day", birth=True) == f"19{year - 10:02}-05-11"
    assert to_date("11 May 04", "day", birth=True) == "2004-05-11"
    assert to_date("11 May 45", "day", birth=True) == "1945-05-11"


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("1704067200", "1735689600"),
        ("1704067200000", "1735689600000"),
        ("6/30/2025 9:00 AM", "6/30/2025 5:00 PM"),
        ("6/30/2025 11:59 AM", "6/30/2025 12:01 PM"),
        ("2025-06-30T10:00:00+02:00", "2025-06-30T09:30:00Z"),
        ("12/30/24", "1/2/25"),
        ("45657", "45658.5"),
        ("30 Dec 2024", "2 Jan 2025"),
        ("2025-06-30 9:00", "2025-06-30 10:00"),
        ("1704067200000000", "1735689600000000"),
        ("1704067200000000000", "1735689600000000000"),
        ("45657,25", "45657,75"),
        ("2025-06-30 11:00:00 EST", "2025-06-30 10:00:00 PST"),
        ("Mon Jun 30 10:00:00 2025", "Mon Jun 30 2025 11:00:00 GMT+0000 (UTC)"),
        ("30-JUN-25 11.00.00.000000 AM", "30-JUN-25 01.00.00.000000 PM"),
        ("20250630100000", "20250630T110000Z"),
        ("/Date(1704067200000)/", "/Date(1735689600000)/"),
        ("30.06.2025 10:00 Uhr", "30.06.2025 11:00"),
    ],
)
async def test_newest_record_is_the_latest_in_time(opened: Make, older: str, newer: str) -> None:
    assert to_instant(older, "month") is not None
    for order in ((newer, "Rome", older, "Oslo"), (older, "Oslo", newer, "Rome")):
        rows = f'1,Nora Finch,"{order[0]}",{order[1]}\n1,Nora Finch,"{order[2]}",{order[3]}\n'
        customer = await opened("customer_id,name,updated_at,city\n" + rows).get("1")
        assert customer is not None
        assert customer.traits["city"] == "Rome"


async def test_time_stamp_that_cannot_be_read_is_reported_and_counts_as_oldest(opened: Make) -> None:
    source = opened("customer_id,name,updated_at,city\n1,Nora Finch,2024-01-01,Rome\n1,Nora Finch,last week,Oslo\n")
    customer = await source.get("1")
    assert customer is not None
    assert customer.traits["city"] == "Rome"
    assert any("time stamps could not be read (lines 3)" in warning for warning in (await source.report()).warnings)
