"""The file source checks its guesses about columns against the rows, and says what it understood."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from tests.sources.file_world import Make, ids, make
from tilores_core import ConfigError

PEOPLE = (("Nora", "Finch"), ("Omar", "Reed"), ("Pia", "Stone"), ("Quentin", "Vale"))


def table(header: str, *rows: str) -> str:
    return "\n".join((header, *rows)) + "\n"


# --- which column names the customer --------------------------------------------------------------------------


@pytest.mark.parametrize("owner", ["user_id", "User ID", "customer"])
async def test_id_column_shared_by_different_people_is_not_the_customer(opened: Make, owner: str) -> None:
    rows = (f"{500 + number},agent-7,{first},{last}" for number, (first, last) in enumerate(PEOPLE))
    source = opened(table(f"id,{owner},first_name,last_name", *rows))
    assert await ids(source, name="Omar Reed") == ["501"]
    customer = await source.get("501")
    assert customer is not None
    assert len(customer.records) == 1


async def test_id_column_repeated_for_one_person_groups_the_rows(opened: Make) -> None:
    source = opened(
        table("id,user_id,first_name,last_name", "1,U1,Nora,Finch", "2,U1,Nora,Finch-Reed", "3,U2,Omar,Reed")
    )
    customer = await source.get("U1")
    assert customer is not None
    assert [record.id for record in customer.records] == ["1", "2"]


def test_file_whose_only_id_column_is_shared_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "team.csv"
    path.write_text(table("user_id,first_name,last_name", *(f"U1,{first},{last}" for first, last in PEOPLE)))
    with pytest.raises(ConfigError) as refused:
        make(path)
    assert "'user_id' does not name the customer" in refused.value.message
    assert "id_column" in str(refused.value.fix)
    assert make(path, id_column="user_id") is not None


def test_two_id_columns_that_group_differently_are_a_question(tmp_path: Path) -> None:
    path = tmp_path / "two.csv"
    path.write_text(
        table("customer_id,client_id,first_name,last_name", "A,1,Nora,Finch", "A,2,Nora,Finch", "B,3,Omar,Reed")
    )
    with pytest.raises(ConfigError, match="could each name the customer"):
        make(path)
    assert make(path, id_column="client_id") is not None


@pytest.mark.parametrize("header", ["Contact ID", "contact.id", "ContactId", "Kundennummer", "Client.Number"])
async def test_id_columns_of_common_exports_are_known(opened: Make, header: str) -> None:
    source = opened(table(f"{header},First.Name,Last.Name", "K1,Nora,Finch"))
    assert await ids(source, name="Nora Finch") == ["K1"]


# --- contact columns ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "header",
    ["PersonEmail", "E-mail 2 Address", "Email Address", "Work.Email", "email_1", "Other Email", "Billing Email"],
)
async def test_email_columns_of_common_exports_are_used(opened: Make, header: str) -> None:
    source = opened(table(f"id,name,{header}", "1,Nora Finch,nora@example.com"))
    assert await ids(source, email="nora@example.com") == ["1"]


@pytest.mark.parametrize(
    "header", ["OtherPhone", "Business Phone", "Phone 1", "MobilePhone", "Home.Phone", "Telefonnummer", "Cell"]
)
async def test_phone_columns_of_common_exports_are_used(opened: Make, header: str) -> None:
    source = opened(table(f"id,name,{header}", "1,Nora Finch,(503) 555-0177"))
    assert await ids(source, phone="+15035550177") == ["1"]


async def test_column_that_looks_like_contacts_and_is_not_used_is_reported(opened: Make) -> None:
    rows = [f"{number},Nora Finch,n{number}@example.com,503-555-01{number}" for number in range(10, 15)]
    report = await opened(table("id,name,reach,ring", *rows)).report()
    assert any("'reach' looks like e-mail addresses" in warning for warning in report.warnings)
    assert any("'ring' looks like phone numbers" in warning for warning in report.warnings)


@pytest.mark.parametrize(
    ("cell", "emails"),
    [
        ("nora@example.com; finch@example.org", ["nora@example.com", "finch@example.org"]),
        ("Nora Finch <nora@example.com>", ["nora@example.com"]),
        ("nora@example.com|finch@example.org", ["nora@example.com", "finch@example.org"]),
        ("nora@example.com finch@example.org", ["nora@example.com", "finch@example.org"]),
    ],
)
async def test_every_address_in_a_cell_finds_the_customer(opened: Make, cell: str, emails: list[str]) -> None:
    source = opened(table("id,name,email", f'1,Nora Finch,"{cell}"'))
    for email in emails:
        assert await ids(source, email=email) == ["1"]


@pytest.mark.parametrize(
    ("cell", "phones"),
    [
        ("(503) 555-0177 / (503) 555-0178", ["+15035550177", "+15035550178"]),
        ("503-555-0177 ::: 503-555-0178", ["+15035550177", "+15035550178"]),
        ("503 555 0177; +44 20 7946 0333", ["+15035550177", "+442079460333"]),
        ("503-555-0177 or 503-555-0178", ["+15035550177", "+15035550178"]),
        ("15035550177", ["+15035550177"]),
        ("442079460333", ["+442079460333"]),
        ("5035550177.0", ["+15035550177"]),
    ],
)
async def test_every_number_in_a_cell_finds_the_customer(opened: Make, cell: str, phones: list[str]) -> None:
    source = opened(table("id,name,phone", f'1,Nora Finch,"{cell}"'))
    for phone in phones:
        assert await ids(source, phone=phone) == ["1"]


async def test_german_number_with_a_lost_plus_is_found_in_its_region(opened: Make) -> None:
    source = opened(table("id,name,phone", "1,Nora Finch,4915209876543"), phone_region="DE")
    assert await ids(source, phone="+4915209876543") == ["1"]


# --- values ---------------------------------------------------------------------------------------------------


async def test_numbers_with_point_zero_are_the_whole_numbers(opened: Make) -> None:
    source = opened(table("customer_id,name,zip,balance", "2001.0,Nora Finch,4103.0,5.0", "2002.0,Omar Reed,,7.5"))
    customer = await source.get("2001")
    assert customer is not None
    assert dict(customer.records[0].fields) == {
        "customer_id": "2001",
        "name": "Nora Finch",
        "zip": "4103",
        "balance": 5.0,
    }


async def test_id_in_scientific_notation_leaves_the_row_out(opened: Make) -> None:
    source = opened(table("customer_id,name", "4.9E+11,Nora Finch", "2,Omar Reed"))
    assert await ids(source, name="Nora Finch") == []
    assert "scientific notation" in (await source.report()).problems[0]


async def test_phone_in_scientific_notation_is_counted_as_unread(opened: Make) -> None:
    source = opened(table("id,name,phone", "1,Nora Finch,4.9E+11", "2,Omar Reed,503-555-0177"))
    report = await source.report()
    assert "phone numbers: 1 read, 1 not" in report.facts
    assert any("1 phone numbers could not be read" in warning and "lines 2" in warning for warning in report.warnings)


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ('"=""00731"""', "00731"),
        ("'00731", "00731"),
        ("\u200b00731\ufeff", "00731"),
        ("\u00a000731 ", "00731"),
    ],
)
async def test_marks_of_spreadsheets_are_not_part_of_an_id(opened: Make, cell: str, value: str) -> None:
    customer = await opened(table("customer_id,name", f"{cell},Nora Finch", "9,Omar Reed")).get("00731")
    assert customer is not None
    assert customer.records[0].fields["customer_id"] == value


@pytest.mark.parametrize("word", ["NULL", "n/a", "#N/A", "-", "\\N", "(null)"])
async def test_words_for_nothing_are_absent(opened: Make, word: str) -> None:
    source = opened(table("customer_id,name,email,city", f"1,Nora Finch,{word},{word}", f"{word},Omar Reed,,"))
    customer = await source.get("1")
    assert customer is not None
    assert dict(customer.records[0].fields) == {"customer_id": 1, "name": "Nora Finch"} or (
        dict(customer.records[0].fields) == {"customer_id": "1", "name": "Nora Finch"}
    )
    assert (await source.report()).left_out == 1


async def test_name_that_reads_like_a_word_for_nothing_is_kept(opened: Make) -> None:
    source = opened(table("customer_id,first_name,last_name", "1,Anna,Null-Reed", "2,Na,Nil"))
    assert await ids(source, name="Na Nil") == ["2"]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ('{"customer_id": 1, "name": "Nora Finch", "balance": 1e400}', "out of range"),
        ('{"customer_id": 1, "name": "Nora Finch", "customer_id": 2}', "there twice"),
    ],
)
async def test_json_that_no_answer_could_hold_is_a_row_problem(opened: Make, row: str, reason: str) -> None:
    source = opened(f'{row}\n{{"customer_id": 3, "name": "Omar Reed"}}\n', "c.jsonl")
    assert await ids(source, name="Omar Reed") == ["3"]
    assert await source.get("1") is None
    assert reason in (await source.report()).problems[0]


# --- limits and the report --------------------------------------------------------------------------------------


async def test_customer_with_too_many_rows_keeps_the_newest_and_is_reported(opened: Make) -> None:
    rows = [f"1,Nora Finch,2024-01-{day:02},{day}" for day in range(28, 0, -1)]
    source = opened(table("customer_id,name,updated_at,step", *rows), max_records_per_customer=5)
    customer = await source.get("1")
    assert customer is not None
    assert [record.fields["step"] for record in customer.records] == [28, 27, 26, 25, 24]
    assert any("more than 5 rows" in warning for warning in (await source.report()).warnings)


async def test_name_is_found_among_many_who_share_an_address(opened: Make) -> None:
    rows = [f"{number},Guest {chr(97 + number % 26)}{number},desk@example.com" for number in range(40)]
    source = opened(table("id,name,email", *rows, "77,Nora Finch,desk@example.com"), max_candidates=41)
    assert await ids(source, email="desk@example.com", name="Nora Finch") == ["77"]


async def test_look_up_that_would_read_too_many_is_refused(opened: Make) -> None:
    from tilores_core import SourceError

    rows = [f"{number},Guest {number},desk@example.com" for number in range(40)]
    source = opened(table("id,name,email", *rows), max_candidates=10)
    with pytest.raises(SourceError, match="more than 10 customers"):
        await ids(source, email="desk@example.com", name="Nora Finch")


async def test_report_says_what_was_understood_without_values(opened: Make, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    source = opened(
        table(
            "customer_id,first_name,last_name,email,birthday",
            "1,Nora,Finch,nora@example.com,25/12/1980",
            "2,Omar,Reed,nobody at home,04/12/1981",
            ",Pia,Stone,,",
        )
    )
    report = await source.report()
    assert (report.customers, report.records, report.left_out) == (2, 2, 1)
    assert "customer id: customer_id" in report.facts
    assert "name: first_name+last_name" in report.facts
    assert "date of birth: birthday (day before month)" in report.facts
    assert "e-mail addresses: 1 read, 1 not" in report.facts
    assert "no column for: phone" in report.facts
    shown: Any = " ".join((*report.facts, *report.warnings, *report.problems, caplog.text))
    for value in ("Nora", "nora@", "1980", "at home"):
        assert value not in shown


async def test_report_says_when_no_row_is_served(opened: Make) -> None:
    report = await opened(table("customer_id,name,city", "1,Nora,Rome,x,y", "2,Omar,Oslo,x,y")).report()
    assert report.customers == 0
    assert any("no customer can be found" in warning for warning in report.warnings)


async def test_server_over_a_file_without_customers_is_not_ready(opened: Make) -> None:
    from tilores_core.web.health import no_customers

    empty = opened(table("customer_id,name", "1,Nora,x", "2,Omar,y"), "empty.csv")
    await empty.report()
    assert "serves no customer" in str(await no_customers(empty))
    assert await no_customers(opened(table("customer_id,name", "1,Nora Finch"), "good.csv")) is None


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("Kundennr;Vorname;Familienname;Geburtstag;Telefon (privat);E-Mail-Adresse;Wohnort", "3.5.1980"),
        ("N° client;Prénom;Nom;Date de naissance;Téléphone;Courriel;Ville", "03/05/1980"),
        ("Código de cliente;Nombre;Apellidos;F. Nacimiento;Móvil;Correo electrónico;Ciudad", "03/05/1980"),
        ("Codice cliente;Nome;Cognome;Data di nascita;Cellulare;Indirizzo e-mail;Città", "03/05/1980"),
        ("Klantnummer;Voornaam;Achternaam;Geboortedatum;Telefoonnummer;E-mailadres;Woonplaats", "03-05-1980"),
        ("Código do cliente;Nome;Apelido;Data de nascimento;Telemóvel;E-mail;Cidade", "03/05/1980"),
    ],
)
async def test_columns_are_recognised_in_other_languages(opened: Make, header: str, row: str) -> None:
    source = opened(f"{header}\n7;Nora;Finch;{row};+49 30 1234501;nora@example.com;Rome\n", day_first=True)
    assert await ids(source, name="Nora Finch", date_of_birth="1980-05-03") == ["7"]
    assert await ids(source, phone="+49301234501", email="nora@example.com") == ["7"]
    customer = await source.get("7")
    assert customer is not None
    assert customer.traits["city"] == "Rome"


@pytest.mark.parametrize("header", ["Nom", "Nombre", "Naam"])
async def test_whole_name_may_stand_in_a_column_called_as_a_part_of_it(opened: Make, header: str) -> None:
    assert await ids(opened(f"id,{header}\n7,Nora Finch\n"), name="Nora Finch") == ["7"]


async def test_id_of_a_wrapper_and_that_of_the_customer_inside_are_a_question(opened: Make) -> None:
    rows = '{"_id":"a1","doc":{"customer_id":"C-1","name":"Nora Finch"}}\n'
    with pytest.raises(ConfigError, match=r"'_id' and 'doc.customer_id' could each"):
        await opened(rows, "c.jsonl").schema()
    assert await ids(opened(rows, "c.jsonl", id_column="doc.customer_id"), name="Nora Finch") == ["C-1"]
    sparse = '{"id":"1","name":"Nora Finch"}\n{"id":"2","name":"Omar Reed","referrer":{"customer_id":"1"}}\n'
    assert await ids(opened(sparse, "c.jsonl"), name="Omar Reed") == ["2"]


# --- columns of other people, and of other things ------------------------------------------------------------------


async def test_contacts_of_others_are_not_the_customers(opened: Make) -> None:
    others = '"spouse":{"phone":"503-555-0177"},"owner":{"name":"Omar Reed","email":"o@x.org"}'
    source = opened(f'{{"id":"7","name":"Nora Finch",{others}}}\n', "c.jsonl")
    assert await ids(source, phone="+15035550177") == []
    assert await ids(source, email="o@x.org") == []
    assert await ids(source, name="Omar Reed") == []


def test_id_of_a_ticket_is_not_that_of_who_asked(tmp_path: Path) -> None:
    path = tmp_path / "tickets.csv"
    path.write_text(table("id,requester_id,name", "1,U7,Nora Finch", "2,U7,Nora Finch", "3,U8,Omar Reed"))
    with pytest.raises(ConfigError, match="'id' and 'requester_id' could each name the customer"):
        make(path)
    path.write_text(table("id,team_id,name", "1,U7,Nora Finch", "2,U7,Omar Reed", "3,U8,Pia Stone"))
    assert make(path) is not None


def test_id_of_a_household_is_not_a_customers(tmp_path: Path) -> None:
    path = tmp_path / "households.csv"
    path.write_text(table("customer_id,name", "H1,Nora Finch", "H1,Omar Finch", "H2,Pia Stone", "H2,Quentin Stone"))
    with pytest.raises(ConfigError, match="people with different names"):
        make(path)


async def test_id_of_customers_who_changed_their_name_is_theirs(opened: Make) -> None:
    rows = ["7,Nora Finch,1980-05-03", "7,Nora Stone,1980-05-03", "8,Pia Reed,1990-01-02", "8,Pia Moss,1990-01-02"]
    source = opened(table("customer_id,name,date_of_birth", *rows))
    assert await ids(source, name="Nora Stone") == ["7"]
    assert await ids(source, name="Pia Reed") == ["8"]


@pytest.mark.parametrize(
    ("header", "phone"),
    [
        ("CUST_ID,CUST_NM,PHONE_NBR,EMAIL_ADDR,BIRTH_DT", "503-555-0177"),
        ("Customer #,Full Name,Default Address Phone,Email Address 1,Date of birth (MM/DD/YYYY)", "503-555-0177"),
        ("Código de cliente,Nombre,Teléfono móvil,Correo,Fecha nacimiento", "503-555-0177"),
        ("Klantnummer,Naam,Mobiel nummer,E-mailadres,Geboortedatum", "503-555-0177 (home) 503-555-0178 (work)"),
    ],
)
async def test_abbreviated_and_compound_headers_are_recognised(opened: Make, header: str, phone: str) -> None:
    source = opened(table(header, f"7,Nora Finch,{phone},nora@example.com,05/03/1980"), phone_region="US")
    assert await ids(source, name="Nora Finch", date_of_birth="1980-05-03") == ["7"]
    assert await ids(source, phone="+15035550177", email="nora@example.com") == ["7"]


async def test_date_order_that_a_header_states_is_taken(opened: Make) -> None:
    source = opened(table("id,name,Date of birth (DD/MM/YYYY)", "7,Nora Finch,05/03/1980"), phone_region="US")
    assert await ids(source, date_of_birth="1980-03-05") == ["7"]
    assert (await source.report()).warnings == ()


@pytest.mark.parametrize(
    ("written", "asked", "plain"),
    [
        ("#1001", "1001", "1001"),
        ("#1001", "#1001", "1001"),
        ("{3f-25}", "3F-25", "3f-25"),
        ('"1,001"', "1001", "1001"),
    ],
)
async def test_marks_around_an_id_are_not_part_of_it(opened: Make, written: str, asked: str, plain: str) -> None:
    source = opened(table("customer_id,name", f"{written},Nora Finch"))
    assert await ids(source, customer_id=asked) == [plain]
    assert await source.get(asked) is not None


async def test_words_for_missing_numbers_are_absent_and_names_that_look_so_are_not(opened: Make) -> None:
    source = opened(
        table("id,first_name,last_name,balance,city,email", "1,Nora,Null,5,NA,NA", "2,Omar,Reed,NA,Oslo,none")
    )
    assert await ids(source, name="Nora Null") == ["1"]
    first, second = await source.get("1"), await source.get("2")
    assert first is not None
    assert second is not None
    assert first.records[0].fields["city"] == "NA"
    assert "balance" not in second.records[0].fields
    assert (await source.report()).warnings == ()


async def test_placeholder_numbers_identify_no_customer(opened: Make) -> None:
    source = opened(table("id,name,phone", "1,Nora Finch,000-000-0000", "2,Omar Reed,0000000000"))
    assert await ids(source, phone="0000000000") == []
    assert any("2 phone numbers could not be read" in warning for warning in (await source.report()).warnings)


async def test_a_file_of_a_header_alone_says_so(opened: Make) -> None:
    assert "the file has none yet" in (await opened("id,name\n").report()).warnings[-1]
