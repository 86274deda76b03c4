"""The file source: the suite every source passes, in every format, and what goes wrong with files."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from pydantic import ValidationError

from tests.sources.file_world import Make, ids, make
from tilores_core import ConfigError, CustomerSource, SourceUnavailableError
from tilores_core.testing.sources import CustomerSourceSuite, KnownCustomer
from tilores_core.testing.waiting import eventually
from tilores_plugins.sources.file.settings import Settings
from tilores_plugins.sources.file.source import FileSource

ROWS: list[dict[str, Any]] = [
    {
        "customer_id": "C1",
        "record_id": "crm-1",
        "system": "crm",
        "first_name": "Edwina",
        "last_name": "Hawthorne",
        "nickname": "Eddie",
        "email": "Edwina.Hawthorne@example.com",
        "phone": "(503) 555-0142",
        "date_of_birth": "1983-03-14",
        "city": "Portland",
        "zip": "97214",
        "credit_score": 742,
        "balance": 1032.5,
        "active": True,
        "updated_at": "2025-06-30",
    },
    {
        "customer_id": "C1",
        "record_id": "bank-9",
        "system": "bank",
        "first_name": "Edwina",
        "last_name": "Hawthorne",
        "email": "edwina@example.org",
        "phone": "+44 20 7946 0018",
        "date_of_birth": "14.03.1983",
        "city": "Seattle",
        "zip": "07214",
        "credit_score": 735,
        "updated_at": "2024-01-05",
    },
    {"customer_id": "C2", "first_name": "Jürgen", "last_name": "Müller", "phone": "030 23125042"},
    *(
        {
            "customer_id": f"S{year}",
            "first_name": "Sarah",
            "last_name": "Mitchell",
            "email": f"sarah{year}@example.com",
            "date_of_birth": f"{year}-02-03",
        }
        for year in (1959, 1973, 1990)
    ),
]
COLUMNS = list(ROWS[0])


def as_csv(rows: list[dict[str, Any]], delimiter: str = ",") -> str:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def as_lines(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


WRITTEN: dict[str, Callable[[], str]] = {
    "plain.csv": lambda: as_csv(ROWS),
    "semicolons.csv": lambda: as_csv(ROWS, ";"),
    "bom.csv": lambda: "\ufeff" + as_csv(ROWS),
    "tabs.tsv": lambda: as_csv(ROWS, "\t"),
    "lines.jsonl": lambda: as_lines(ROWS),
    "list.json": lambda: json.dumps(ROWS, ensure_ascii=False),
    "indented.json": lambda: json.dumps(ROWS, indent=2),
    "lists.json": lambda: json.dumps({"people": ROWS[:3], "others": ROWS[3:]}, ensure_ascii=False),
}


@pytest.mark.parametrize("name", WRITTEN)
class TestFileSource(CustomerSourceSuite):
    @pytest_asyncio.fixture
    async def source(self, opened: Make, name: str) -> CustomerSource:  # type: ignore[override]
        return opened(WRITTEN[name](), name)

    @pytest.fixture
    def known(self) -> KnownCustomer:
        return KnownCustomer(
            id="C1",
            name="Edwina Hawthorne",
            names=("Eddie Hawthorne", "Ms Edwina R Hawthorne"),
            email="edwina.hawthorne@example.com",
            phone="+15035550142",
            date_of_birth="1983-03-14",
            namesakes="sarah mitchell",
            accented="Jürgen Müller",
            plain="Juergen Mueller",
        )


async def test_the_records_are_typed_and_nothing_is_empty(opened: Make) -> None:
    customer = await opened(as_csv(ROWS)).get("C1")
    assert customer is not None
    first, second = customer.records
    assert (first.id, first.system, first.updated_at) == ("crm-1", "crm", "2025-06-30")
    assert first.fields["credit_score"] == 742
    assert first.fields["balance"] == 1032.5
    assert first.fields["active"] is True
    assert second.fields["zip"] == "07214"
    assert second.fields["phone"] == "+44 20 7946 0018"
    assert "nickname" not in second.fields
    assert dict(customer.traits) == {"born": "1983", "city": "Portland", "postcode begins": "972"}


async def test_numbers_only_where_they_come_back_the_same(opened: Make) -> None:
    values = {
        "a": "7", "b": "-7", "c": "0.5", "d": "12.50", "e": "007", "f": "1e5", "g": "-0", "h": "1,000",
        "i": "99999999999999999999", "j": "TRUE", "k": "no", "account_number": "12345", "nan": "Nan",
    }  # fmt: skip
    content = f"customer_id,{','.join(values)}\n1," + ",".join(f'"{value}"' for value in values.values()) + "\n"
    customer = await opened(content).get("1")
    assert customer is not None
    assert customer.records[0].fields == values | {"customer_id": "1", "a": 7, "b": -7, "c": 0.5, "j": True}


async def test_ids_are_found_exactly_first_and_then_in_any_case(opened: Make) -> None:
    source = opened("id,name\nabc,Anna Small\nABC,Anna Tall\nXyz,Anna Other\n")
    assert (await source.get("abc")).name == "Anna Small"  # type: ignore[union-attr]
    assert (await source.get("ABC")).name == "Anna Tall"  # type: ignore[union-attr]
    assert (await source.get("xYZ")).name == "Anna Other"  # type: ignore[union-attr]
    assert await source.get("Abc") is None, "it may be either of two"


async def test_records_get_ids_of_their_own(opened: Make) -> None:
    source = opened("client_id,id,name\nC1,r1,Anna\nC1,r1,Anna\nC1,,Anna\n")
    customer = await source.get("C1")
    assert customer is not None
    assert [record.id for record in customer.records] == ["r1", "r1/2", "C1/3"]


async def test_quoted_line_feeds_and_delimiters(opened: Make) -> None:
    source = opened('id,name,note\r\n1,Anna Berg,"one\r\ntwo, ""three"""\r\n2,Bert Berg,x\r\n')
    first, second = await source.get("1"), await source.get("2")
    assert first is not None
    assert second is not None
    assert first.records[0].fields["note"] == 'one\r\ntwo, "three"'
    assert second.records[0].fields["note"] == "x"


async def test_nested_json_is_kept_and_described_with_dots(opened: Make) -> None:
    row = {"id": 7, "person": {"name": "Anna Berg", "dob": "1980-01-02"}, "tags": ["a"], "none": None}
    source = opened(json.dumps([row]), "c.json", name_columns=["person.name"])
    customer = await source.get("7")
    assert customer is not None
    assert customer.records[0].fields == {"id": 7, "person": row["person"], "tags": ["a"]}
    assert await ids(source, name="anna berg", date_of_birth="1980-01-02") == ["7"]
    described = {info.name: info.type for info in (await source.schema()).fields}
    assert described == {"id": "integer", "person.name": "string", "person.dob": "string", "tags": "array"}


async def test_lists_of_contacts(opened: Make) -> None:
    row = {"id": "1", "emails": ["a@example.com"], "email": ["b@example.com", "c@example.com"], "phone": 5035550142}
    source = opened(json.dumps(row), "c.jsonl", email_columns=["email", "emails"])
    for email in ("a@example.com", "b@example.com", "c@example.com"):
        assert await ids(source, email=email) == ["1"]
    assert await ids(source, phone="+15035550142") == ["1"]


async def test_the_lists_of_a_document_name_the_systems(opened: Make) -> None:
    document = {"crm": [{"id": 1, "name": "Anna Berg"}], "bank": [{"id": 1, "balance": 3}]}
    customer = await opened(json.dumps(document), "c.json").get("1")
    assert customer is not None
    assert [record.system for record in customer.records] == ["crm", "bank"]


async def test_the_settings_say_what_columns_mean(opened: Make) -> None:
    source = opened(
        "Kunde;Voller Name;Post;Ruf;Tag;Quelle;Stand;Nr;Team\n"
        "K1;Anna Berg;anna@example.com;030 23125042;4/12/1980;alt;5.6.2025;R1;rot\n",
        id_column="Kunde",
        record_id_column="Nr",
        system_column="Quelle",
        updated_column="Stand",
        name_columns=["Voller Name"],
        email_columns=["Post"],
        phone_columns=["Ruf"],
        date_of_birth_column="Tag",
        trait_columns=["Team"],
        phone_region="DE",
        day_first=True,
    )
    for wanted in (
        {"name": "berg, anna"},
        {"email": "anna@example.com"},
        {"phone": "+493023125042"},
        {"date_of_birth": "1980-12-04"},
    ):
        assert await ids(source, **wanted) == ["K1"]
    customer = await source.get("K1")
    assert customer is not None
    assert dict(customer.traits) == {"Team": "rot"}
    assert (customer.records[0].id, customer.records[0].system) == ("R1", "alt")
    assert customer.records[0].updated_at == "2025-06-05"


async def test_a_word_of_the_name_will_do_with_something_stronger(opened: Make) -> None:
    source = opened(as_csv(ROWS))
    assert await ids(source, name="Sarah") == []
    assert await ids(source, name="Sarah", date_of_birth="1973-02-03") == ["S1973"]
    assert await ids(source, name="Hawthorne", email="edwina@example.org") == ["C1"]


async def test_mentions_before_the_first_reading_are_none(tmp_path: Path) -> None:
    path = tmp_path / "c.csv"
    path.write_text(as_csv(ROWS))
    source = FileSource(Settings(path=path))
    assert list(source.mentions("Edwina Hawthorne")) == []
    await source.schema()
    assert [found.name for found in source.mentions("ask sarah mitchell")] == ["sarah mitchell"]
    await source.aclose()


# --- bad rows --------------------------------------------------------------------------------------------

HEADER = "id,name\n"


@pytest.mark.parametrize(
    ("name", "content", "lines"),
    [
        ("columns.csv", b"id,name\n1,Anna\n2\n3,Bert,x\n4,Carl\n", [3, 4]),
        ("noid.csv", b"id,name\n1,Anna\n,Bert\n4,Carl\n", [3]),
        ("bytes.csv", b"id,name\n1,Anna\n2,M\xfcller\n4,Carl\n", [3]),
        ("quote.csv", b'id,name\n1,Anna\n2,"Bert\n4,Carl\n', [3]),
        ("blank.csv", b"id,name\n1,Anna\n\n\n4,Carl\n", []),
        ("long.csv", b"id,name\n1,Anna\n2," + b"x" * 1_100_000 + b"\n4,Carl\n", [3]),
        ("broken.jsonl", b'{"id": 1}\n{"id": \n[1]\n\n{"id": 4}\n', [2, 3]),
        ("bytes.jsonl", b'{"id": 1}\n{"id": "\xff"}\n{"id": 4}', [2]),
        ("noid.jsonl", b'{"id": 1}\n{"id": null}\n{"id": 4}', [2]),
        ("nan.jsonl", b'{"id": 1}\n{"id": 2, "x": NaN}\n{"id": 4}', [2]),
        ("deep.jsonl", b'{"id": 1}\n' + b"[" * 100_000 + b'\n{"id": 4}', [2]),
        ("long.jsonl", b'{"id": 1}\n{"id": "' + b"x" * 1_100_000 + b'"}\n{"id": 4}', [2]),
        ("broken.json", b'[{"id": 1},\n{"id": 2, "name": Anna},\n{"id": 4}]', [2]),
        ("bytes.json", b'[{"id": 1},\n{"id": "\xff"},\n{"id": 4}]', [2]),
        ("scalars.json", b'[{"id": 1},\n7,\n{"id": 4}]', [2]),
        ("cut.json", b'[{"id": 1}, {"id": 4},\n{"id": 5', [2, 2]),
        ("value.json", b'{"note": "x", "rows": [{"id": 1}, {"id": 4}]}', []),
    ],
)
async def test_bad_rows_are_named_and_the_rest_is_served(
    opened: Make, caplog: pytest.LogCaptureFixture, name: str, content: bytes, lines: list[int]
) -> None:
    source = opened(content, name)
    for customer_id in ("1", "4"):
        assert await source.get(customer_id) is not None
    assert (await source.report()).left_out == len(lines)
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == len(lines)
    for message, line in zip(warnings, lines, strict=True):
        assert f"{name}, line {line}: " in message
    for secret in ("Anna", "Bert", "xxx"):
        assert secret not in caplog.text


async def test_many_bad_rows_are_counted(opened: Make, caplog: pytest.LogCaptureFixture) -> None:
    source = opened(HEADER + "1,Anna\n" + "broken\n" * 1500)
    await source.schema()
    assert (await source.report()).left_out == 1500
    assert len((await source.report()).problems) == 3
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 21
    assert "1480 more" in warnings[-1]


async def test_a_file_larger_than_its_buffers(opened: Make) -> None:
    """Rows, some with letters of several bytes, across every boundary of what is read at a time."""
    rows = [{"id": i, "name": f"Jürgen Groß{i}", "note": "ä€🦉 " * (i % 90)} for i in range(3000)]
    for name, content in (
        ("c.json", json.dumps(rows, ensure_ascii=False)),
        ("i.json", json.dumps(rows, ensure_ascii=False, indent=1)),
        ("c.jsonl", "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)),
    ):
        source = opened(content, name)
        for row in (*rows[::97], rows[-1]):
            customer = await source.get(str(row["id"]))
            assert customer is not None
            assert customer.records[0].fields == {name: value for name, value in row.items() if value != ""}
        assert (await source.report()).left_out == 0


async def test_values_that_other_libraries_cannot_write(opened: Make) -> None:
    customer = await opened(r'{"id": 1, "a": "\ud800x", "b": 1' + "0" * 30 + "}", "c.jsonl").get("1")
    assert customer is not None
    assert customer.records[0].fields == {"id": 1, "a": "?x", "b": "1" + "0" * 30}


# --- what cannot be served -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "settings", "message"),
    [
        ("c.csv", "name,city\nAnna,Leeds\n", {}, "no column names the customer; the columns are 'name', 'city'"),
        ("c.csv", "id,name\n", {"id_column": "ids"}, "did you mean 'id'?"),
        ("c.csv", "id,name\n", {"email_columns": ["mail"]}, "email_columns = 'mail'"),
        ("c.csv", "", {}, "put a header line first"),
        ("c.txt", "id\n1\n", {}, 'format = "csv"'),
        ("c.csv", "id\n1\n".encode("utf-16"), {}, "save it as UTF-8"),
        ("c.csv", b"id,stra\xdfe\n", {}, "encoding"),
        ("c.json", "[]", {}, "no row was found"),
    ],
)
def test_start_up_stops_with_what_to_do(
    tmp_path: Path, name: str, content: str | bytes, settings: dict[str, Any], message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError) as caught:
        make(path, **settings)
    assert message in str(caught.value)
    assert name in str(caught.value)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no file"):
        make(tmp_path / "no.csv")


@pytest.mark.parametrize(
    "settings", [{"colour": "red"}, {"encoding": "utf-16"}, {"encoding": "klingon"}, {"phone_region": "us"}]
)
def test_settings_are_checked(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Settings(path=Path("c.csv"), **settings)


def test_every_setting_is_described() -> None:
    assert all(field.description for field in Settings.model_fields.values())


async def test_format_and_delimiter_of_the_settings_go_before_what_is_found_out(opened: Make) -> None:
    assert await ids(opened("id;name\n1;Anna Berg\n", "customers.json", format="csv"), name="Anna Berg") == ["1"]
    text = "id|name|a;b;c;d\n1|Anna Berg|1;2;3;4\n"
    assert await ids(opened(text, "piped.csv", delimiter="|"), name="Anna Berg") == ["1"]


async def test_other_encodings(opened: Make) -> None:
    source = opened("id,name\n1,Jörg Groß\n".encode("cp1252"), encoding="cp1252")
    assert await ids(source, name="Jörg Groß") == ["1"]


# --- a file that changes ---------------------------------------------------------------------------------


def replace(path: Path, content: str) -> None:
    """As an exporter should do it: write beside, then rename."""
    beside = path.with_suffix(".new")
    beside.write_text(content)
    os.replace(beside, path)


async def test_a_replaced_file_is_picked_up(opened: Make, tmp_path: Path) -> None:
    source = opened("id,name\n1,Anna Berg\n", reload_seconds=0.05)
    before = await source.schema()
    assert await source.get("2") is None
    replace(tmp_path / "customers.csv", "id,name,city\n1,Anna Berg,Leeds\n2,Bert Berg,York\n")

    async def there() -> bool:
        return await source.get("2") is not None

    await eventually(there)
    assert (await source.schema()).hash != before.hash
    assert [found.name for found in source.mentions("bert berg")] == ["bert berg"]


async def test_until_then_the_old_one_is_served(opened: Make, tmp_path: Path) -> None:
    source = opened("id,name\n1,Anna Berg\n", reload_seconds=0)
    await source.schema()
    replace(tmp_path / "customers.csv", "id,name,city\n9,Somebody Else,Leeds\n")
    customer = await source.get("1")
    assert customer is not None
    assert customer.name == "Anna Berg"


async def test_a_file_written_over_in_place_is_read_again(opened: Make, tmp_path: Path) -> None:
    source = opened("id,name\n1,Anna Berg\n2,Bert Berg\n", reload_seconds=0)
    await source.schema()
    (tmp_path / "customers.csv").write_text("id,name\n7,Somebody\n8,Carl\n2,Bert Young\n")
    customer = await source.get("2")
    assert customer is not None
    assert customer.name == "Bert Young"


@pytest.mark.parametrize("worse", ["", "nothing,here\n1,2\n", None])
async def test_a_file_that_cannot_be_read_leaves_the_old_one(
    opened: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture, worse: str | None
) -> None:
    path = tmp_path / "customers.csv"
    source = opened("id,name\n1,Anna Berg\n", reload_seconds=0.02)
    await source.schema()
    if worse is None:
        path.unlink()
    else:
        replace(path, worse)

    await eventually(lambda: "stay in use" in caplog.text)
    assert (await source.get("1")) is not None
    await asyncio.sleep(0.2)  # ten more looks at the file
    assert caplog.text.count("stay in use") == 1
    replace(path, "id,name\n2,Bert Berg\n")

    async def there() -> bool:
        return await source.get("2") is not None

    await eventually(there)


async def test_a_file_that_vanishes_before_the_first_look_up(tmp_path: Path) -> None:
    source = FileSource(Settings(path=tmp_path / "gone.csv"))
    with pytest.raises(SourceUnavailableError, match="cannot be read"):
        await source.get("1")
    await source.aclose()
    with pytest.raises(SourceUnavailableError, match="closed"):
        await source.get("1")


async def test_giving_up_waiting_does_not_end_the_reading_for_others(opened: Make) -> None:
    source = opened(HEADER + "".join(f"{i},Anna Berg{i}\n" for i in range(20_000)))
    impatient = asyncio.create_task(source.get("1"))
    patient = asyncio.create_task(source.get("2"))
    await asyncio.sleep(0)
    impatient.cancel()
    with pytest.raises(asyncio.CancelledError):
        await impatient
    assert await patient is not None


async def test_closing_while_reading(opened: Make) -> None:
    source = opened(HEADER + "".join(f"{i},Anna Berg{i}\n" for i in range(20_000)))
    waiting = asyncio.create_task(source.get("1"))
    await asyncio.sleep(0)
    await source.aclose()
    with pytest.raises(SourceUnavailableError, match="closed"):
        await waiting
