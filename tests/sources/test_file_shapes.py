"""Files as spreadsheets and other programs write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sources.file_world import Make, ids, make
from tilores_core import ConfigError

ROWS = "customer_id,name,city\n1,Nora Finch,Rome\n2,Omar Reed,Oslo\n"


@pytest.mark.parametrize(
    "content",
    [
        "sep=;\r\n" + ROWS.replace(",", ";"),
        '"sep=|"\n' + ROWS.replace(",", "|"),
        ROWS.replace("\n", "\r"),
        ROWS.replace("\n", "\r\n"),
        "\ufeff" + ROWS,
        "customer_id,name,city,,\n1,Nora Finch,Rome,,\n2,Omar Reed,Oslo,,\n",
        "customer_id,name,city,notes\n1,Nora Finch,Rome\n2,Omar Reed,Oslo,,,\n",
        "Customer.ID,Full.Name,City\n1,Nora Finch,Rome\n2,Omar Reed,Oslo\n",
        "customer_id,name,city\r1,Nora Finch,Rome\r2,Omar Reed,Oslo",
    ],
)
async def test_table_is_read_whatever_wrote_it(opened: Make, content: str) -> None:
    source = opened(content)
    assert await ids(source, name="Nora Finch") == ["1"]
    assert await ids(source, name="Omar Reed") == ["2"]
    assert (await source.report()).left_out == 0


async def test_second_header_is_not_a_customer(opened: Make) -> None:
    source = opened(ROWS + "Customer_ID,name,city\n3,Pia Stone,Bern\n")
    assert await ids(source, name="Pia Stone") == ["3"]
    assert await source.get("customer_id") is None
    (problem,) = (await source.report()).problems
    assert "line 4:" in problem
    assert list(source.mentions("what is the customer_id of pia stone")) != []
    assert all(found.customer_id is None for found in source.mentions("the customer_id please"))


async def test_row_broken_in_two_is_left_out(opened: Make) -> None:
    source = opened("customer_id,name,city,zip\n1,Nora\n Finch,Rome,1\n2,Omar Reed,Oslo,2\n")
    assert await ids(source, name="Omar Reed") == ["2"]
    assert (await source.report()).left_out >= 1
    assert await source.get("1") is None


async def test_very_long_field_within_the_row_limit_is_read(opened: Make) -> None:
    source = opened(f"customer_id,name,notes\n1,Nora Finch,{'x' * 300_000}\n")
    assert await ids(source, name="Nora Finch") == ["1"]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("c.csv", b"PK\x03\x04" + bytes(40), ("not csv", "spreadsheet", "CSV UTF-8")),
        ("c.csv", b"\xd0\xcf\x11\xe0" + bytes(40), ("not csv", "spreadsheet")),
        ("c.csv", b"\x1f\x8b" + bytes(40), ("gzip",)),
        ("c.csv", ROWS.encode("utf-16"), ("UTF-16", "UTF-8")),
        ("c.csv", ROWS.encode("utf-16-le"), ("UTF-16",)),
        ("c.csv", ROWS.encode("utf-16-be"), ("UTF-16",)),
        ("c.json", b'{"customer_id": 1}\n{"customer_id": 2}\n', ("JSON lines", "jsonl")),
        ("c.xlsx", b"PK\x03\x04", ("spreadsheet", "CSV")),
        ("c.csv", b"<!DOCTYPE html><table>", ("HTML",)),
        ("c.xlsx", b"1,2", ("suffix", "csv")),
    ],
)
def test_file_of_another_kind_is_refused_with_what_it_is(
    tmp_path: Path, name: str, content: bytes, words: tuple[str, ...]
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ConfigError) as refused:
        make(path)
    for word in words:
        assert word in f"{refused.value.message} {refused.value.fix}"


@pytest.mark.parametrize(
    "content",
    [
        '{"next_page":null,"users":[{"id":1,"name":"Nora Finch"},{"id":2,"name":"Omar Reed"}],"e":0}',
        '{"data":{"customers":[{"id":1,"name":"Nora Finch"},{"id":2,"name":"Omar Reed"}]},"paging":{"next":{}}}',
    ],
)
async def test_answer_of_an_api_is_read_for_its_list(opened: Make, content: str) -> None:
    source = opened(content, "users.json")
    assert await ids(source, name="Omar Reed") == ["2"]
    assert (await source.report()).left_out == 0


@pytest.mark.parametrize("content", ['{"id":1,"name":"Nora Finch"}', '{"1":{"name":"Nora Finch"}}'])
async def test_object_without_a_list_is_refused_with_the_reason(opened: Make, content: str) -> None:
    with pytest.raises(ConfigError, match="a list of objects"):
        await opened(content, "users.json").schema()


# --- what other programs leave around the rows -------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        "\n" + ROWS,
        ",,\n" + ROWS,
        "Customers of June,,\n,,\n" + ROWS,
        ROWS.replace("2,Omar", ",,\n   \n2,Omar") + ",,\n\x1a",
        'customer_id;name;"a,b,c,d,e,f"\n1;Nora Finch;x\n2;Omar Reed;y\n',
    ],
)
async def test_lines_without_values_are_passed_over(opened: Make, content: str) -> None:
    source = opened(content)
    assert await ids(source, name="Omar Reed") == ["2"]
    report = await source.report()
    assert (report.customers, report.left_out) == (2, 0)
    titles = "Customers of June" in content
    assert any("named in line 3" in warning for warning in report.warnings) is titles


@pytest.mark.parametrize("row", ["Total,,11", "Grand Total,,11", "Summe,,11", "-----------,----,----"])
async def test_rows_that_are_no_customer_are_left_out_and_told(opened: Make, row: str) -> None:
    report = await opened(f"{ROWS}{row}\n").report()
    assert (report.customers, report.left_out) == (2, 1)
    report = await opened("customer_id,name\nTotal,Nora Finch\n", "named.csv").report()
    assert report.customers == 1


async def test_columns_of_one_name_are_told_and_are_no_id(opened: Make, tmp_path: Path) -> None:
    source = opened("customer_id,name,phone,phone\n1,Nora Finch,503-555-0177,503-555-0178\n")
    assert await ids(source, phone="+15035550178") == ["1"]
    assert any("several columns are called 'phone'" in warning for warning in (await source.report()).warnings)
    (tmp_path / "joined.csv").write_text("id,name,id\n1,Nora Finch,71\n2,Nora Finch,71\n")
    with pytest.raises(ConfigError, match="several columns are called 'id'"):
        make(tmp_path / "joined.csv")
    assert await ids(make(tmp_path / "joined.csv", id_column="id_3"), name="Nora Finch") == ["71"]


async def test_extended_json_is_read_as_the_values_it_stands_for(opened: Make) -> None:
    row = '{"_id":{"$oid":"65a1"},"customer_id":{"$numberLong":"7"},"name":"Nora Finch","birthdate":{"$date":"%s"}}\n'
    source = opened(row % "1980-05-03T00:00:00Z", "c.jsonl")
    assert await ids(source, name="Nora Finch", date_of_birth="1980-05-03") == ["7"]


async def test_contacts_in_lists_of_objects_are_read(opened: Make) -> None:
    source = opened(
        '[{"customer_id":"7","name":"Nora Finch","phones":[{"type":"home","number":"503-555-0177"}],'
        '"emails":[{"value":"nora@example.com","primary":true}]}]',
        "c.json",
    )
    assert await ids(source, phone="+15035550177", email="nora@example.com") == ["7"]
