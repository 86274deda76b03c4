"""One spelling for what identifies a customer."""

from __future__ import annotations

import subprocess
import sys
from datetime import date

import phonenumbers
import pytest
from hypothesis import given, strategies as st

from tilores_core import (
    best_name,
    find_mentions,
    name_fits,
    name_keys,
    normalise_email,
    normalise_name,
    normalise_phone,
    parse_date,
    query_keys,
)
from tilores_core.identity.contact import _parse


@pytest.mark.parametrize(
    ("text", "email"),
    [
        ("Edwina@Example.COM", "edwina@example.com"),
        (" <edwina@example.com> ", "edwina@example.com"),
        ("mailto:edwina+x@example.co.uk", "edwina+x@example.co.uk"),
        ("edwina@example", None),
        ("edwina at example.com", None),
        ("a@b@example.com", None),
        ("", None),
    ],
)
def test_emails(text: str, email: str | None) -> None:
    assert normalise_email(text) == email


@pytest.mark.parametrize(
    ("text", "region", "number"),
    [
        ("(503) 555-0142", "US", "+15035550142"),
        ("503.555.0142", "US", "+15035550142"),
        ("+1 503 555 0142", "GB", "+15035550142"),
        ("001 503 555 0142", "GB", "+15035550142"),
        ("020 7946 0018", "GB", "+442079460018"),
        ("+44 (0)20 7946 0018", "US", "+442079460018"),
        ("+44 020 7946 0018", "US", "+442079460018"),
        ("0044 20 7946 0018", "US", "+442079460018"),
        ("030 23125 042", "DE", "+493023125042"),
        ("(503) 555-0142 ext. 7", "US", "+15035550142"),
        ("12345", "US", None),
        ("no number", "US", None),
        ("1" * 60, "US", None),
        ("", "US", None),
    ],
)
def test_phones(text: str, region: str, number: str | None) -> None:
    assert normalise_phone(text, region) == number


@given(
    st.sampled_from(sorted(phonenumbers.SUPPORTED_REGIONS)),
    st.sampled_from(list(range(3))),
    st.sampled_from(["", " ", "-", "."]),
    st.integers(0, 10**10 - 1),
)
def test_the_quick_ways_agree_with_the_library(region: str, form: int, gap: str, digits: int) -> None:
    example = phonenumbers.example_number(region)
    spellings = [f"+{phonenumbers.country_code_for_region(region)}{gap}{digits:09d}", f"{digits:010d}"]
    if example is not None:
        spellings.append(phonenumbers.format_number(example, form).replace(" ", gap))
    for text in spellings:
        figures = [character for character in text if character.isdigit()]
        lost_plus = not text.startswith("+") and len(figures) > 10
        if not text.startswith("00") and not lost_plus and len(set(figures)) > 1:
            assert normalise_phone(text, region) == _parse(text, region)
            assert normalise_phone(text, "US") == _parse(text, "US")


@given(
    st.integers(200, 999),
    st.integers(200, 999),
    st.integers(0, 9999),
    st.lists(st.sampled_from([" ", "-", "."]), min_size=2, max_size=2),
    st.sampled_from(["", "+1 ", "+1-", "1 ", "+1"]),
    st.booleans(),
)
def test_spellings_of_one_number_are_one(
    area: int, exchange: int, line: int, gaps: list[str], country: str, brackets: bool
) -> None:
    written = f"{country}{f'({area})' if brackets else area}{gaps[0]}{exchange}{gaps[1]}{line:04d}"
    assert normalise_phone(written) == f"+1{area}{exchange}{line:04d}"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Edwina Hawthorne", "edwina hawthorne"),
        ("  Ms. EDWINA   Hawthorne, PhD", "edwina hawthorne"),
        ("Hawthorne, Edwina R.", "edwina r hawthorne"),
        ("Hawthorne, Jr., Edwin", "jr edwin hawthorne"),
        ("Jürgen Groß", "jurgen gross"),
        ("Seán O’Brien", "sean obrien"),
        ("Anne-Marie d'Arc", "anne marie darc"),
        ("Łukasz Øverby", "lukasz overby"),
        ("Ｅｄｗｉｎａ", "edwina"),
        ("Mr Hawthorne", "hawthorne"),
        ("王小明", "王小明"),
        ("!?", ""),
        ("", ""),
    ],
)
def test_names(text: str, name: str) -> None:
    assert normalise_name(text) == name


@given(st.text(max_size=100))
def test_normalising_again_changes_nothing_but_titles(text: str) -> None:
    name = normalise_name(text)
    assert name == name.lower() == " ".join(name.split())


@pytest.mark.parametrize(
    ("asked", "recorded", "fits"),
    [
        ("edwina hawthorne", ["Edwina Hawthorne"], True),
        ("Hawthorne Edwina", ["Edwina Hawthorne"], True),
        ("Edwina Rose Hawthorne", ["Edwina Hawthorne"], True),
        ("Edwina Hawthorne", ["Edwina Rose Hawthorne"], True),
        ("Edwina R. Hawthorne", ["Edwina Rose Hawthorne"], True),
        ("E. Hawthorne", ["Edwina Hawthorne"], True),
        ("Eddie Hawthorne", ["Edwina Hawthorne", "Eddie Hawthorne"], True),
        ("Eddie Rose Hawthorne", ["Edwina Rose Hawthorne", "Eddie Hawthorne"], True),
        ("Edwina May Hawthorne", ["Edwina Rose Hawthorne", "Edwina Hawthorne"], False),
        ("Jürgen Müller", ["Juergen Mueller"], True),
        ("Jurgen Muller", ["Jürgen Müller"], True),
        ("Edwin Hawthorne", ["Edwina Hawthorne"], False),
        ("Edwina Smith", ["Edwina Hawthorne"], False),
        ("", ["Edwina Hawthorne"], False),
        ("Edwina", [], False),
    ],
)
def test_which_names_fit(asked: str, recorded: list[str], fits: bool) -> None:
    assert name_fits(asked, recorded) is fits


@pytest.mark.parametrize(
    ("asked", "recorded", "family", "fits"),
    [
        ("Luis Ortega", "Luis Ortega Díaz", "Ortega Díaz", True),
        ("Luis Díaz", "Luis Ortega Díaz", "Ortega Díaz", True),
        ("Luis Ortega", "Luis Alberto Ortega Díaz", "Ortega Díaz", True),
        ("Luis Ortega Ruiz", "Luis Ortega Díaz", "Ortega Díaz", False),
        ("Ana Ortega", "Luis Ortega Díaz", "Ortega Díaz", False),
        ("Luis Alberto", "Luis Alberto Ortega Díaz", "Ortega Díaz", False),
        ("John Paul", "John Paul Jones", "Jones", False),
        ("Anna Smith", "Anna Smith-Jones", "Smith-Jones", False),
    ],
)
def test_second_of_two_family_names_may_be_left_out(asked: str, recorded: str, family: str, fits: bool) -> None:
    assert name_fits(asked, [(recorded, family)]) is fits


@pytest.mark.parametrize(
    ("recorded", "asked"),
    [
        ("Edwina Rose Hawthorne", "Hawthorne, Edwina"),
        ("Jürgen Müller", "Juergen Mueller"),
        ("Jürgen Müller", "jurgen muller"),
        ("Seán O'Brien", "sean obrien"),
    ],
)
def test_a_name_is_found_under_its_other_spellings(recorded: str, asked: str) -> None:
    assert set(name_keys(recorded)) & set(query_keys(asked))


def test_each_word_of_a_family_name_counts() -> None:
    assert set(name_keys("María García López", "García López")) & set(query_keys("Maria Garcia"))
    assert not set(name_keys("Anna Maria Berg")) & set(query_keys("Anna Maria"))


def test_the_best_name_is_the_one_most_used_then_the_newest() -> None:
    assert best_name([("Eddie H", "2025"), ("Edwina H", "2020"), ("Edwina H", "")]) == "Edwina H"
    assert best_name([("Eddie H", "2020"), ("Edwina H", "2025")]) == "Edwina H"
    assert best_name([("", "2020")]) is None


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("1983-03-14", "1983-03-14"),
        ("1983-03-14T10:00:00Z", "1983-03-14"),
        ("19830314", "1983-03-14"),
        ("1983/3/14", "1983-03-14"),
        ("14.03.1983", "1983-03-14"),
        ("4.3.1983", "1983-03-04"),
        ("3/14/1983", "1983-03-14"),
        ("14/3/1983", "1983-03-14"),
        ("3/4/1983", "1983-03-04"),
        ("14 March 1983", "1983-03-14"),
        ("14th of March, 1983", "1983-03-14"),
        ("March 14th, 1983", "1983-03-14"),
        ("Sept 1 1983", "1983-09-01"),
        ("30 February 1983", None),
        ("14/3/83", None),
        ("123456789", None),
        ("0000-00-00", None),
        ("yesterday", None),
        ("", None),
    ],
)
def test_dates(text: str, day: str | None) -> None:
    assert parse_date(text) == day


def test_whose_dates_begin_with_the_day() -> None:
    assert parse_date("3/4/1983", day_first=True) == "1983-04-03"


@given(
    st.dates(min_value=date(1000, 1, 1), max_value=date(2999, 12, 31)),
    st.sampled_from(["%Y-%m-%d", "%Y%m%d", "%d.%m.%Y", "%d %B %Y", "%B %d, %Y", "%d-%b-%Y", "%m/%d/%Y"]),
)
def test_dates_come_back(day: date, form: str) -> None:
    assert parse_date(day.strftime(form).replace("%Y", str(day.year))) == day.isoformat()


WORDS = {"edwina", "rose", "hawthorne", "sean", "obrien", "muller", "mueller", "jurgen", "juergen"}
NAMES = {"edwina hawthorne", "obrien sean", "jurgen muller", "juergen mueller"}
IDS = {"edw_hawthorne_001", "1001", "c-77", "jsmith", "2024"}


def mentioned(text: str) -> list[str | None]:
    found = find_mentions(text, is_word=WORDS.__contains__, is_name=NAMES.__contains__, is_id=IDS.__contains__)
    return [who.customer_id or who.name for who in found]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("what is edwina hawthorne's credit score", ["edwina hawthorne"]),
        ("EDWINA ROSE HAWTHORNE?", ["EDWINA ROSE HAWTHORNE"]),
        ("Hawthorne, Edwina R.", ["Hawthorne, Edwina"]),
        ("edwina r hawthorne", ["edwina r hawthorne"]),
        ("edwina and hawthorne", []),
        ("Sean O'Brien’s mail", ["Sean O'Brien"]),
        ("Jürgen Müller, Juergen Mueller", ["Jürgen Müller", "Juergen Mueller"]),
        ("(EDW_HAWTHORNE_001)'s limit", ["EDW_HAWTHORNE_001"]),
        ("C-77.", ["C-77"]),
        ("she paid 1001 dollars in 2024", []),
        ("customer 1001", ["1001"]),
        ("customer number: 1001", ["1001"]),
        ("client id is jsmith!", ["jsmith"]),
        ("#1001", ["1001"]),
        ("jsmith", []),
        ("edwina hawthorne and c-77", ["edwina hawthorne", "c-77"]),
        ("edwina hawthorne, edwina hawthorne", ["edwina hawthorne"]),
        ("", []),
    ],
)
def test_mentions(text: str, found: list[str]) -> None:
    assert mentioned(text) == found


@given(st.text(max_size=400))
def test_any_text_can_be_read_for_mentions(text: str) -> None:
    assert len(mentioned(f"{text} edwina hawthorne ")) <= 20


def test_of_a_long_text_the_end_is_read() -> None:
    assert mentioned("x " * 50_000 + "edwina hawthorne") == ["edwina hawthorne"]


def test_the_public_names_do_not_load_phonenumbers() -> None:
    code = "import sys, tilores_core; print('phonenumbers' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout.strip() == "False"
