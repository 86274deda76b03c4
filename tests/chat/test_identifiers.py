"""What is read out of one message."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
from hypothesis import example, given, settings, strategies as st

from tilores_core.chat.customer import tokens
from tilores_core.chat.customer.extraction import LONGEST_TEXT, MOST_MENTIONS, Reading, extract, readable
from tilores_core.chat.customer.names import find_names
from tilores_core.chat.customer.spans import may_begin_name
from tilores_core.chat.customer.tokens import TextScan, split_words
from tilores_core.chat.customer.words import (
    ENGLISH,
    FAMILY_NAMES,
    GIVEN_NAMES,
    NAMES_TOO,
    ORDINARY,
    WORDS_TOO,
)
from tilores_core.contracts import Evidence, Identifiers, Strength

_CONVERSATIONS = Path(__file__).parents[1] / "data" / "conversations"
FAINT, WEAK, STRONG = Strength.FAINT, Strength.WEAK, Strength.STRONG


def read(text: str, region: str = "US", mentions: tuple[Identifiers, ...] = ()) -> Reading:
    return extract(text, region=region, mentions=(lambda _: mentions) if mentions else None)


def values(found: Reading, kind: str) -> list[str]:
    values = []
    for item in found.found:
        if item.kind == kind and not item.partial:
            values.append(item.value)
        elif item.kind == "customer_id" and kind == "phone":
            values += [other for other in item.alternatives if other.startswith("+")]
    return values


def certain(found: Reading) -> list[Evidence]:
    """What is more than a given name or some digits that may mean nothing."""
    return [item for item in found.found if item.strength > FAINT or not item.partial]


@pytest.mark.parametrize(
    ("text", "name", "strength"),
    [
        ("What is Edwina Hawthorne's credit score?", "Edwina Hawthorne", STRONG),
        ("What’s Edwina Hawthorne’s balance", "Edwina Hawthorne", STRONG),
        ("What is John Smithers credit score?", "John Smithers", WEAK),
        ("Does Edwina Hawthorne have a loan?", "Edwina Hawthorne", WEAK),
        ("Has John F. Kennedy paid?", "John F Kennedy", WEAK),
        ("Dr. Anna van der Berg's loans", "Anna van der Berg", STRONG),
        ("What about Maria de la Cruz?", "Maria de la Cruz", STRONG),
        ("Show me Siobhan O'Brien’s payments", "Siobhan O'Brien", STRONG),
        ("Jürgen Müller's address", "Jürgen Müller", STRONG),
        ("Mu\u0308ller? No: Ju\u0308rgen Mu\u0308ller's address", "Jürgen Müller", STRONG),
        ("Иван Петров's score", "Иван Петров", STRONG),
        ("Jean-Luc Dubois-Martin's debts please", "Jean-Luc Dubois-Martin", STRONG),
        ("Retitle Edwina Hawthorne please", "Edwina Hawthorne", WEAK),
        ("Please Summarize Edwina Hawthorne Credit History", "Edwina Hawthorne", WEAK),
        ("April Jones's score", "April Jones", STRONG),
        ("Will Smith's score", "Will Smith", STRONG),
        ("Will Edwina Hawthorne pay?", "Edwina Hawthorne", WEAK),
        ("What is Anna Holder's balance", "Anna Holder", STRONG),
        ("What is Neil Young credit limit", "Neil Young", WEAK),
        ("Edwina Hawthorne", "Edwina Hawthorne", WEAK),
        ("Hawthorne, Edwina", "Hawthorne, Edwina", WEAK),
        ("customer Hawthorne, Edwina: balance?", "Hawthorne, Edwina", STRONG),
        ("Mr Hawthorne's balance", "Hawthorne", STRONG),
        ("The customer is Edwina Hawthorne.", "Edwina Hawthorne", STRONG),
        ("Her name is Edwina Hawthorne.", "Edwina Hawthorne", STRONG),
        ("name: Edwina Hawthorne\ndob: 1962-04-12", "Edwina Hawthorne", STRONG),
        # as speech arrives
        ("what is edwina hawthorne's credit score", "edwina hawthorne", WEAK),
        ("customer edwina hawthorne", "edwina hawthorne", STRONG),
        ("what does customer edwina hawthorne owe", "edwina hawthorne", STRONG),
        ("credit score for edwina hawthorne", "edwina hawthorne", WEAK),
        ("mr hawthorne's balance", "hawthorne", STRONG),
        ("somebody named zorblax quuxington", "zorblax quuxington", STRONG),
        ("my name is edwina hawthorne", "edwina hawthorne", STRONG),
        ("my name is zorblax quuxington", "zorblax quuxington", STRONG),
        ("this is edwina hawthorne", "edwina hawthorne", STRONG),
        ("what is john smithers credit score", "john smithers", WEAK),
        ("what about john smithers", "john smithers", STRONG),
        ("oyelaran adebayo's credit score", "oyelaran adebayo", WEAK),
        ("what does raymond brown owe", "raymond brown", WEAK),
        ("tell me uwe köhler last payment", "uwe köhler", WEAK),
        ("jürgen-marie von der heide wants to know", "jürgen-marie von der heide", WEAK),
        ("the oyelaran adebayo credit score", "oyelaran adebayo", FAINT),
        ("wie hoch ist der kreditscore von edwina hawthorne", "edwina hawthorne", WEAK),
        ("WHAT IS EDWINA HAWTHORNE CREDIT SCORE", "edwina hawthorne", WEAK),
        ("customer 山田太郎 score", "山田太郎", WEAK),
        ("Where is Mount Everest?", "Mount Everest", FAINT),
    ],
)
def test_names(text: str, name: str, strength: Strength) -> None:
    found = [(m.value, m.strength) for m in certain(read(text))]
    assert (name, strength) in found
    assert len(found) == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "What can you do?",
        "Summarize our conversation",
        "Who was the first president of the United States?",
        "What is the weather in New York?",
        "what is the weather in new york",
        "When did World War Two end?",
        "What is the Fair Credit Reporting Act?",
        "What is a good Credit Score?",
        "And her credit score?",
        "and what about the last payment",
        "Thank You Very Much",
        "Good Morning",
        "On Monday, March 4",
        "has been a customer 5 years",
        "we have 20 customers 30 days overdue",
        "how do I improve customer satisfaction",
        "what are typical interest rates for fixed mortgages",
        "show me the latest missed payments",
        "Which Customers Are Late With Their Payments This Month?",
        "this is really annoying",
        "How is the customer's history?",
        "Will you help?",
        "she paid $2,025,550,143 in fees",
        "the amount is 2025550143 euros",
        "card 4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "378282246310005",
        "ssn 123-45-6789",
        "account number 2025550143",
        "invoice 2025550143 is open",
        "iban DE89 3704 0044 0532 0130 00 please",
        "between 2023-01-01 and 2023-12-31",
        "on 04/03/2024 or 12.11.2023",
    ],
)
def test_nobody(text: str) -> None:
    assert [m for m in read(text).found if m.strength > FAINT] == []
    assert values(read(text), "phone") == []


@pytest.mark.parametrize(
    ("text", "region", "phone"),
    [
        ("(202) 555-0143", "US", "+12025550143"),
        ("call (202) 555-0143.", "US", "+12025550143"),
        ("202.555.0143 please", "US", "+12025550143"),
        ("2025550143", "US", "+12025550143"),
        ("1-202-555-0143", "US", "+12025550143"),
        ("+1 202 555 0143", "GB", "+12025550143"),
        ("who has 202-555-0143?", "US", "+12025550143"),
        ("+44 20 7946 0018", "US", "+442079460018"),
        ("020 7946 0018", "GB", "+442079460018"),
        ("the number is 07700 900123", "GB", "+447700900123"),
        ("tel:+442079460018", "US", "+442079460018"),
        ("+44 (0)20 7946 0018", "US", "+442079460018"),
        ("0044 20 7946 0018", "GB", "+442079460018"),
        ("Rückruf unter 030/23125 123", "DE", "+493023125123"),
        ("caller (202) 555-0143 ext 5", "US", "+12025550143"),
        ("customer (202) 555-0143", "US", "+12025550143"),
        ("+1 (555) 010-1234", "US", "+15550101234"),
        ("my number is 2 0 2 5 5 5 0 1 4 3", "US", "+12025550143"),
    ],
)
def test_phones(text: str, region: str, phone: str) -> None:
    found = read(text, region)
    assert values(found, "phone") == [phone]
    assert found.found[0].strength is STRONG


@pytest.mark.parametrize(
    ("text", "email", "strength"),
    [
        ("edwina.hawthorne@example.com owes how much?", "edwina.hawthorne@example.com", STRONG),
        ("Mail: <Edwina.Hawthorne@Example.COM>.", "edwina.hawthorne@example.com", STRONG),
        ("who is 'o+b_c@mail.example.co.uk'", "o+b_c@mail.example.co.uk", STRONG),
        ("edwina.hawthorne@example.com's balance", "edwina.hawthorne@example.com", STRONG),
        ("edwina dot hawthorne at example dot com", "edwina.hawthorne@example.com", STRONG),
        ("send the summary to boss@bank.example", "boss@bank.example", FAINT),
    ],
)
def test_emails(text: str, email: str, strength: Strength) -> None:
    found = read(text)
    assert [(m.value, m.strength) for m in found.found] == [(email, strength)]


@pytest.mark.parametrize(
    ("text", "customer_id", "strength"),
    [
        ("customer 4711, what is the balance", "4711", STRONG),
        ("customer id: EDW_HAWTHORNE_001", "EDW_HAWTHORNE_001", STRONG),
        ("customer number 2025550143", "2025550143", STRONG),
        ("customer no. 4711", "4711", STRONG),
        ("id 4711", "4711", STRONG),
        ("account holder C-1001's score", "C-1001", STRONG),
        ("client #4711?", "4711", STRONG),
        ("Tell me about EDW_HAWTHORNE_001.", "EDW_HAWTHORNE_001", WEAK),
        ("score for c-1001", "c-1001", WEAK),
        ("score for customer-1001", "customer-1001", WEAK),
        ("EDW_HAWTHORNE_001", "EDW_HAWTHORNE_001", FAINT),
        ("does COVID-19 matter", "COVID-19", FAINT),
        ("100234", "100234", FAINT),
        ("for 6ba7b810-9dad-11d1-80b4-00c04fd430c8", "6ba7b810-9dad-11d1-80b4-00c04fd430c8", WEAK),
    ],
)
def test_ids(text: str, customer_id: str, strength: Strength) -> None:
    found = read(text)
    if text.startswith("does COVID"):
        strength = WEAK  # behind "does" it may be an id
    assert [(m.value, m.strength) for m in certain(found)] == [(customer_id, strength)]


def test_digits_behind_customer_are_an_id_or_a_phone_number() -> None:
    (mention,) = read("customer 2025550143").found
    assert (mention.kind, mention.value, mention.alternatives) == ("customer_id", "2025550143", ("+12025550143",))


def test_an_id_is_also_tried_in_capitals() -> None:
    (mention,) = read("customer edw_hawthorne_001").found
    assert (mention.value, mention.alternatives) == ("edw_hawthorne_001", ("EDW_HAWTHORNE_001",))


@pytest.mark.parametrize(
    ("text", "region", "born"),
    [
        ("Edwina Hawthorne, born 1962-04-12", "US", "1962-04-12"),
        ("Edwina Hawthorne born on April 12th, 1962", "US", "1962-04-12"),
        ("dob 04/12/1962", "US", "1962-04-12"),
        ("DOB: 12/04/1962", "GB", "1962-04-12"),
        ("her date of birth is 12.4.1962", "DE", "1962-04-12"),
        ("birthday 12 April 1962", "US", "1962-04-12"),
        ("was born on the 12th of April 1962", "US", "1962-04-12"),
        ("Edwina Hawthorne 1962-04-12", "US", "1962-04-12"),
        ("Edwina Hawthorne (12 April 1962)", "US", "1962-04-12"),
        ("edwina hawthorne, 1962-04-12", "US", "1962-04-12"),
        ("What did Edwina Hawthorne pay on 2024-03-01?", "US", None),
        ("payments since 2024-03-01", "US", None),
    ],
)
def test_dates_of_birth(text: str, region: str, born: str | None) -> None:
    assert read(text, region).date_of_birth == born


def test_all_dates_are_kept_for_a_clarification() -> None:
    assert read("the one of 4 March 1980").dates == ("1980-03-04",)


@pytest.mark.parametrize(
    ("text", "back"), [("and her score?", True), ("this customer's debts", True), ("a joke", False)]
)
def test_referring_back(text: str, back: bool) -> None:
    assert read(text).refers_back is back


def test_the_strongest_identifier_comes_first() -> None:
    found = read("Edwina Hawthorne's file: edwina@example.com, (202) 555-0143, customer id 4711")
    assert [m.kind for m in found.found] == ["customer_id", "email", "phone", "name"]


def test_who_speaks_comes_after_whom_they_ask_about() -> None:
    found = read("Hi, my name is Sarah Connor. What is Edwina Hawthorne's score?").found
    assert [(m.value, m.speaker) for m in found] == [("Edwina Hawthorne", False), ("Sarah Connor", True)]


# --- what the source spots -------------------------------------------------------------------------------


def test_a_spotted_name_is_strong_and_there_once() -> None:
    spotted = (Identifiers(name="edwina hawthorne"),)
    (mention,) = read("tell me what edwina hawthorne owes", mentions=spotted).found
    assert (mention.value, mention.strength) == ("edwina hawthorne", STRONG)


def test_a_spotted_name_inside_a_longer_name_is_somebody_else() -> None:
    found = read("Mary John Smith's score", mentions=(Identifiers(name="John Smith"),)).found
    assert [m.value for m in found] == ["Mary John Smith"]


def test_a_spotted_name_behind_an_unknown_imperative_is_meant() -> None:
    found = read("Retitle Zorblax Quux", mentions=(Identifiers(name="Zorblax Quux"),)).found
    assert [(m.value, m.strength) for m in found] == [("Zorblax Quux", STRONG)]


def test_a_spotted_id_is_strong() -> None:
    found = read("score of C-1001", mentions=(Identifiers(customer_id="C-1001"),)).found
    assert [(m.value, m.strength) for m in found] == [("C-1001", STRONG)]


# --- any text --------------------------------------------------------------------------------------------

anything = st.text(alphabet=st.characters(), max_size=400)  # surrogates and control characters, too
PIECES = """
Edwina Hawthorne's customer id for born 1962-04-12 (202) 555-0143 a@b.example van der 4711 C-1001 , . ' @ + - |
O'Brien ü İ ß name is my what about
"""
pieces = st.lists(st.sampled_from([*PIECES.split(), "\n", "\t", "\u0301", "\ud800"]), max_size=60).map(" ".join)


@given(st.one_of(anything, pieces), st.sampled_from(["US", "GB", "DE", "", "ZZ"]))
@example("the ² one customer's", "US")  # `isdigit` says yes, `int` does not take it
@settings(max_examples=300, deadline=None)
def test_any_text_can_be_read(text: str, region: str) -> None:
    found = extract(text, region=region)
    assert len(found.found) <= MOST_MENTIONS
    assert all(m.value for m in found.found)
    assert found == extract(text, region=region)
    assert readable(readable(text)) == readable(text)


@given(st.one_of(anything, pieces), st.text(alphabet=" \t\r\n\u00a0\u2003", max_size=10))
@settings(max_examples=200, deadline=None)
def test_surrounding_space_changes_nothing(text: str, space: str) -> None:
    assert read(space + text + space) == read(text)


plain_words = st.lists(
    st.from_regex(r"[A-Za-zäöüéß]{1,9}[,.?!]?", fullmatch=True).filter(
        lambda w: w.lower().strip(",.?!") not in BARS.split()
    ),
    max_size=20,
).map(" ".join)
# Behind these an address or a number is somebody else's, or no phone number.
BARS = """
to cc bcc account acct iban card loan policy invoice order case ticket reference ref ssn contract transaction passport
id tax amount at dot
"""


@given(
    plain_words,
    plain_words,
    st.from_regex(r"[a-z][a-z0-9._]{0,12}[a-z0-9]@[a-z]{2,10}\.(com|co\.uk|example)", fullmatch=True),
)
@settings(max_examples=200, deadline=None)
def test_an_address_is_found_wherever_it_stands(before: str, behind: str, email: str) -> None:
    assert email in values(read(f"{before} {email} {behind}"), "email")


@given(
    plain_words,
    plain_words,
    st.integers(200, 999).filter(lambda n: n % 100 != 11),
    st.integers(0, 9999),
    st.sampled_from(["({}) 555-{}", "{}-555-{}", "{}.555.{}", "+1 {} 555 {}", "+1{}555{}", "1-{}-555-{}"]),
)
@settings(max_examples=200, deadline=None)
def test_a_phone_number_is_found_wherever_it_stands(
    before: str, behind: str, line: int, last: int, shape: str
) -> None:
    written = shape.format(202, f"{last:04}") if line % 2 else shape.format(212, f"{last:04}")
    area = 202 if line % 2 else 212
    assert f"+1{area}555{last:04}" in values(read(f"{before} {written} {behind}"), "phone")


@pytest.mark.parametrize(
    "piece",
    [
        "a", "Aa ", "1", "1 ", "(202) 555-0143 ", "a@", "a.", "a dot ", "zxq ", "van ", "Van ",
        "customer ", "customer id is : ", "(", "+", "+1", "a'", "a-", "C-1001 ", "1980-03-04 ",
        "January 1, ", "\n", "e\u0301", "\ud800", "A-", "a_", "12-", "born on ", "%a", "O'B ", "1.",
        "123 456 ", "my name is ", "Aa, ", "john ", "a at b dot ", "is ", "@a.", "#1", "1st of March ",
    ],
)  # fmt: skip
def test_long_texts_are_bounded(piece: str) -> None:
    """No pattern backtracks without end: each of these would take minutes, and the test's time-out ends it."""
    found = read(piece * (1_000_000 // len(piece)) + " @ 1")
    assert len(found.found) <= MOST_MENTIONS


def test_of_a_long_text_the_end_is_read() -> None:
    filler = "lorem ipsum " * LONGEST_TEXT
    assert values(read(f"customer id 4711 {filler}"), "customer_id") == []
    assert values(read(f"{filler} customer id 4711"), "customer_id") == ["4711"]


def test_a_number_cut_in_half_is_not_read() -> None:
    text = "customer id 4711-" + "9" * (LONGEST_TEXT - 10) + " and so on"
    assert values(read(text), "customer_id") == []


def test_nothing_is_lost_by_looking_for_keywords_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each list that readers test against `TextScan.keywords` has to be made by `keywords`."""
    lines = [line for file in sorted(_CONVERSATIONS.glob("*.txt")) for line in file.read_text().splitlines()[::4]]
    found = [read(line).evidence for line in lines]
    monkeypatch.setattr(tokens, "KEYWORDS", frozenset(re.findall(r"[^\W\d_]+", "\n".join(lines).lower())))
    assert [read(line).evidence for line in lines] == found


def test_names_are_looked_for_wherever_one_may_begin() -> None:
    """`may_begin_name` is a cheap test, and must not be stricter than what it saves."""
    draw = random.Random(7)
    some = [sorted(words) for words in (ENGLISH.common, ORDINARY, FAMILY_NAMES | WORDS_TOO, GIVEN_NAMES)]
    odd = ["gadget", "meantime", "configuration", "timeouts", "edwinahawthorne", "of", "for", "what", "about", "does"]
    skipped = 0
    for _ in range(4000):
        drawn = draw.choices([*some, odd], [12, 2, 2, 0.2, 6], k=draw.randint(1, 16))
        words = [word for word in map(draw.choice, drawn) if word.isascii() and word.isalpha()]
        page = TextScan("".join(word + draw.choice([" "] * 9 + [", ", "? ", " 12 "]) for word in words).strip())
        low = page.words_left()
        if NAMES_TOO.isdisjoint(low) and "s" not in low and not may_begin_name(page, low - ENGLISH.common, ENGLISH):
            skipped += 1
            assert find_names(split_words(page)) == [], page.text
    assert skipped > 400
