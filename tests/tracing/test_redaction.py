"""What leaves when traces are `redacted`: no value of a customer, however it is written.

A value is trivial, and may stay, when it is a boolean, nothing, a whole number of one or two digits, or has no more
than two letters and digits (country codes). All others of all demo customers are looked for in what is left of a text
that held them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from tilores_core.contracts import Customer, Record
from tilores_core.tracing.redaction import Redactor, is_trivial, values_of
from tilores_core.tracing.redaction.patterns import passes_luhn
from tilores_plugins.sources.demo.source import DemoSource

SOURCE = DemoSource()
IDS = list(SOURCE._people)
MASK = re.compile(r"\[(?:name|value|number|date|email|phone|card|account|address|id)\]")


async def customer(customer_id: str) -> Customer:
    found = await SOURCE.get(customer_id)
    assert found is not None
    return found


def leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from leaves(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from leaves(inner)
    else:
        yield value


def values(who: Customer) -> list[Any]:
    """Each value once, without the trivial ones: not by `is_trivial`, which is what is tested."""
    found: list[Any] = [who.id, who.name, *who.traits.values(), *(record.id for record in who.records)]
    found += [leaf for record in who.records for leaf in leaves(dict(record.fields))]
    kept: dict[str, Any] = {}
    for value in found:
        text = str(value)
        if isinstance(value, bool) or value is None:
            continue
        if isinstance(value, int | float) and float(value).is_integer() and abs(value) < 100:
            continue
        if len(re.sub(r"[\W_]", "", text)) <= 2:
            continue
        kept[text] = value
    return list(kept.values())


def squashed(text: str) -> str:
    """Without case, accents, spaces and punctuation, and without the masks."""
    plain = unicodedata.normalize("NFKD", MASK.sub("|", text))
    plain = "".join(c for c in plain if not unicodedata.combining(c)).casefold()
    return re.sub(r"[^\w|]|_", "", plain)


def lines(found: list[Any], write: Any = str) -> str:
    """One value a line, each between a number: so nothing joins up."""
    return "\n".join(f"; {write(value)} ;" for value in found)


async def _holds_nothing(who: Customer, write: Any, redactor: Redactor) -> None:
    found = values(who)
    text = lines(found, write)
    left = [squashed(line) for line in redactor.text(text).split("\n")]
    for value, line in zip(found, left, strict=True):
        whole = squashed(str(value))
        assert whole not in line, f"{type(value).__name__} {value!r} left as {line!r}"


@pytest.mark.parametrize("part", range(8))
async def test_no_value_of_any_demo_customer_is_left(part: int) -> None:
    for customer_id in IDS[part::8]:
        who = await customer(customer_id)
        await _holds_nothing(who, str, Redactor(values_of(who)))


def _amount(value: Any) -> str:
    return f"${value:,.2f}" if isinstance(value, int | float) else str(value)


def _accented(value: Any) -> str:
    return str(value).replace("e", "é").replace("o", "ö").replace("A", "Å") if not isinstance(value, float) else "é"


def _spaced(value: Any) -> str:
    text = str(value)
    return f"{text[:4]} {text[4:]}" if text.isalpha() and len(text) > 6 else text


SPELLINGS = {
    "capitals": lambda value: str(value).upper(),
    "lower case": lambda value: str(value).lower(),
    "accents": _accented,
    "no spaces": lambda value: str(value).replace(" ", ""),
    "underscores": lambda value: str(value).replace(" ", "_"),
    "spaces inside": _spaced,
    "amounts": _amount,
    "possessive": lambda value: f"{value}'s",
}


@pytest.mark.parametrize("spelling", SPELLINGS)
async def test_nor_when_it_is_spelled_differently(spelling: str) -> None:
    for customer_id in IDS[:: len(IDS) // 12]:
        who = await customer(customer_id)
        await _holds_nothing(who, SPELLINGS[spelling], Redactor(values_of(who)))


async def test_one_letter_off() -> None:
    redact = Redactor(values_of(await customer("EDW_HAWTHORNE_001"))).text
    for written in (
        *("Edwyna", "edwinna", "Edwna", "edwian", "haythorne", "Hawthrone", "E. Hathorne", "hawthornne's"),
        *("porland", "Portlnad", "larkspurr", "larkspr lane 14", "orgeon"),
    ):
        left = MASK.sub("", redact(f"It is {written} now.")).lower()
        rest = set(re.findall(r"\w+", left)) - {"it", "is", "now", "s"}
        assert not rest, (written, left)
    plain = "Is her credit score good, and what did she pay last month?"
    assert redact(plain) == plain


async def test_dates_in_every_order() -> None:
    redact = Redactor(values_of(await customer("EDW_HAWTHORNE_001"))).text
    for written in (
        *(
            "1983-03-14",
            "14.03.1983",
            "3/14/1983",
            "3/14/83",
            "14 March 1983",
            "March 14th, 1983",
            "the 14th of March",
        ),
        *("14. März 1983", "19830314", "March 1983", "14-03-83", "Mar 14 1983", "1983/3/14"),
    ):
        left = redact(f"She was born on {written}, was she not?")
        assert not re.search(r"\d|mar", left, re.IGNORECASE), (written, left)


async def test_telephones_names_and_addresses_in_every_form() -> None:
    redact = Redactor(values_of(await customer("EDW_HAWTHORNE_001"))).text
    for written in (
        *("(503) 555-0142", "+1 503-555-0142", "503.555.0142", "5035550142", "001 503 555 01 42", "+15035550142"),
        "five oh three, five five five, oh one four two",
        *("Edwina Hawthorne", "Hawthorne, Edwina", "E. Hawthorne", "EDWINA HAWTHORNE", "Édwina", "edwinahawthorne"),
        *(
            "E. R. Hawthorne",
            "Ms Hawthorne's",
            "the Hawthornes",
            "Haw thorne",
            "@HawthorneEdwina",
            "edwina_hawthorne",
        ),
        *("14 Larkspur Lane", "larkspur-lane 14", "LARKSPUR LANE", "Portland, Oregon", "97214"),
        *("edwina.hawthorne@example.com", "EDWINA.HAWTHORNE@EXAMPLE.COM", "edwina dot hawthorne at example dot com"),
        *("Edwina\u200bHawthorne", "Haw\u00adthorne", "Ｅｄｗｉｎａ", "EH"),
    ):
        left = MASK.sub("", redact(f"It is {written} now.")).lower()
        rest = set(re.findall(r"\w+", left)) - {"it", "is", "now", "s", "ms", "the"}
        assert not rest, (written, left)


@given(
    st.sampled_from(
        [
            "4111 1111 1111 1111",
            "5500-0000-0000-0004",
            "DE89 3704 0044 0532 0130 00",
            "GB29NWBK60161331926819",
            "078-05-1120",
            "QQ 12 34 56 C",
            "12345678Z",
            "someone@mail.example",
            "+44 20 7183 8750",
            "https://example.com/customers/edwina?id=3",
        ]
    ),
    st.sampled_from(["It is {}.", "({})", "see {} please", "{}", "A:{};B", "“{}”", "no. {}"]),
)
@settings(max_examples=60, deadline=None)
def test_numbers_of_cards_accounts_and_people_are_masked_without_any_records(value: str, around: str) -> None:
    left = Redactor().text(around.format(value))
    for piece in re.findall(r"\w{2,}", value):
        assert piece not in MASK.sub("", left), left


@given(st.text(max_size=300))
@settings(max_examples=200, deadline=None)
def test_any_text_can_be_redacted_and_twice_is_as_once(text: str) -> None:
    once = Redactor().text(text)
    assert not re.search(r"\d{3}", once)
    assert not re.search(r"\d{3}", Redactor().text(once))


def test_what_is_trivial_and_what_speech_needs_stays() -> None:
    text = "She has 3 cards and 12 months to go, which is fine."
    assert Redactor().text(text) == text
    assert all(map(is_trivial, (True, None, 7, 99, 42.0, "US", "B", "", "true", " - ")))
    assert not any(map(is_trivial, (100, 4.5, "USA", "Ann", -1e9)))


def test_json_values_are_masked_inside() -> None:
    who = Customer(
        id="C-1",
        name="Ada Penrose",
        records=(Record(id="r", system="crm", fields={"notes": {"by": ["Ada said yes to the offer of the month"]}}),),
    )
    redact = Redactor(values_of(who))
    assert redact.value({"who": "ada penrose", "amounts": [1234.5, 7], "ok": True}) == {
        "who": "[name]",
        "amounts": ["[number]", 7],
        "ok": True,
    }
    assert "offer of the month" not in redact.text("He spoke of the offer of the month again")


def test_the_checksum_of_cards() -> None:
    assert passes_luhn("4111111111111111")
    assert not passes_luhn("4111111111111112")
