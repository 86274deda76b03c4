"""Everything that was said must fit: the kinds of fault that once brought the wrong customer."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.chat.test_customers import SpottingSource
from tilores_core.chat.customer.choices import clarification
from tilores_core.chat.customer.extraction import extract
from tilores_core.chat.customer.finder import CustomerFinder, Resolution
from tilores_core.chat.customer.resolution import Resolver
from tilores_core.chat.customer.state import Candidates
from tilores_core.contracts import Customer, CustomerOutcome, Evidence, Identifiers, Message, Record, Strength
from tilores_core.spectrums import classify

REFUSED = ""


def person(customer_id: str, name: str, born: str, city: str, phone: str, email: str = "", **fields: str) -> Customer:
    known = {"date_of_birth": born, "city": city, "phone": phone, "email": email, **fields}
    record = Record(id=f"r-{customer_id}", system="crm", fields={k: v for k, v in known.items() if v})
    return Customer(id=customer_id, name=name, records=(record,), traits={"born": born[:4], "city": city})


PEOPLE = (
    person("2001", "Nora Whitlock", "1964-02-09", "Harwich", "+15035550111", "nora@example.com", gender="female"),
    person("2042", "Owen Tarrant", "1979-12-24", "Ludlow", "+15035550112", "owen@example.com", gender="male"),
    person("2043", "Iris Calloway", "1991-07-30", "Penrith", "+15035550113", "iris@example.com"),
    person("C-7", "Peter Paul", "1955-05-05", "Harwich", "+15035550114"),
    person("2050", "George Farley Sr.", "1940-01-01", "Ludlow", "+15035550115"),
    person("2051", "Hilde von der Heide", "1982-03-03", "Penrith", "+15035550116"),
    person("2052", "Carmen Soto-Vega", "1973-04-04", "Harwich", "+15035550117"),
    person("2053", "Brendan O'Shea", "1968-06-06", "Ludlow", "+15035550118"),
    person("2060", "Alan Marsh", "1950-01-02", "Harwich", "+15035550119"),
    person("2061", "Alan Marsh", "1952-03-04", "Ludlow", "+15035550120"),
    person("2062", "Alan Marsh", "1961-05-06", "Penrith", "+15035550121"),
    person("2070", "Ruth Dale", "1980-08-08", "Harwich", "+15035550130"),
    person("2071", "Seth Dale", "1982-09-09", "Harwich", "+15035550130"),
    person("2072", "Faye Dale", "2010-10-10", "Harwich", "+15035550130"),
)


async def outcome(*turns: str, people: Sequence[Customer] = PEOPLE, region: str = "US") -> Resolution:
    """What comes of the last turn, the assistant answering as the product does."""
    finder = CustomerFinder(SpottingSource(people), region)
    messages: list[Message] = []
    said: list[str] = []
    found = Resolution(outcome=CustomerOutcome(kind="unnamed"))
    for turn in turns:
        messages.append({"role": "user", "content": turn})
        found = await finder.resolve(messages, None, spectrum=classify(turn))
        asks = found.outcome.kind in ("none", "several")
        said.append(clarification(found.outcome, said) if asks else "Certainly.")
        messages.append({"role": "assistant", "content": said[-1]})
    return found


async def check(turns: Sequence[str], customer_id: str) -> None:
    found = await outcome(*turns)
    assert (found.outcome.customer_id or REFUSED) == customer_id, (found.outcome.kind, found.reason)


# --- numbers of other things ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "customer_id"),
    [
        ("Nora Whitlock wants to know about invoice 2042, what is her balance?", "2001"),
        ("nora whitlock is asking about ticket number 2042 what is the credit limit", "2001"),
        ("Balance of Nora Whitlock (room #2042)", "2001"),
        ("Purchase order no. 2042: what does Nora Whitlock owe?", "2001"),
        ("employee id 2042 here, balance of Nora Whitlock please", "2001"),
        ("Nora Whitlock's claim 2042, last payment?", "2001"),
        ("card ending in 2042, Nora Whitlock, credit limit", "2001"),
        ("Rechnung Nr. 2042, wie hoch ist der Kontostand von Nora Whitlock?", "2001"),
        ("facture numéro 2042, quel est le solde de Nora Whitlock ?", "2001"),
        ("factura número 2042, ¿cuál es el saldo de Nora Whitlock?", "2001"),
        ("fattura numero 2042, qual è il saldo di Nora Whitlock?", "2001"),
        ("order 2001 of customer 2042: balance?", "2042"),
        ("customer number 2042, balance of Nora Whitlock", REFUSED),
        ("Nora Whitlock, client 2042: credit limit?", REFUSED),
    ],
)
async def test_number_of_something_else_is_not_a_customer_id(said: str, customer_id: str) -> None:
    await check([said], customer_id)


# --- identifiers of two people ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said",
    [
        "Nora Whitlock, phone 503 555 0112, what is the balance?",
        "Nora Whitlock, owen@example.com, credit limit?",
        "What is the balance of Jane Roe, phone (503) 555-0112?",
        "customer 2042, Nora Whitlock: last payment",
        "nora whitlock calling from five oh three five five five oh one one two what is the balance",
        "Nora Whitlock born 24 December 1979, what does she owe?",
        "owen@example.com, phone 503 555 0113, balance?",
        "Kontostand von Nora Whitlock, Telefonnummer 503 555 0112",
        "503 555 0112, it's Iris, what is the balance?",
        "Compare the balances of Nora Whitlock and Owen Tarrant",
    ],
)
async def test_identifiers_of_two_people_are_asked_about(said: str) -> None:
    await check([said], REFUSED)


async def test_identifiers_of_one_person_fit_together() -> None:
    await check(["Nora Whitlock, 503 555 0111, nora@example.com, born February 9th, 1964: balance?"], "2001")


# --- somebody unknown, corrections, the way back ----------------------------------------------------------

FIRST = "What is Owen Tarrant's balance?"


@pytest.mark.parametrize(
    "turns",
    [
        ["what about his wife Klara Tarrant, what is her balance?"],
        ["I meant Klara Tarrant", "what's the balance?"],
        ["Sorry, wrong person. I need Klara Tarrant and her balance."],
        ["and Zelda Quimby, how much does she owe?"],
        ["what about his wife?", "what does she owe"],
        ["his daughter's credit limit please"],
        ["wrong person", "what's the balance?"],
        ["No, that's the wrong customer.", "and the last payment?"],
        ["no someone else", "what is the credit limit"],
        ["not owen tarrant", "what is the balance"],
        ["Nicht Owen Tarrant, sondern Klara Tarrant", "Wie hoch ist der Kontostand?"],
        ["Pas Owen Tarrant, mais Klara Tarrant", "Quel est le solde ?"],
        ["correction zelda quimby", "what is the balance"],
        ["what does mrs tarrant owe"],
        ["who is zelda quimby and what is her balance"],
        ["zelda quimby", "balance?"],
        ["is there a zelda quimby in the system", "what is her balance?"],
        ["that's not who I asked for", "balance?"],
        ["this isn't the right customer", "balance?"],
        ["Perdón, quise decir Klara Tarrant", "¿y el saldo?"],
    ],
)
async def test_unknown_person_does_not_bring_the_earlier_customer_back(turns: list[str]) -> None:
    await check([FIRST, *turns], REFUSED)


@pytest.mark.parametrize(
    ("turns", "customer_id"),
    [
        (["Sorry, I meant Iris Calloway.", "what's the balance?"], "2043"),
        (["not owen tarrant i need iris calloway", "whats the balance"], "2043"),
        (["Not Owen Tarrant but Iris Calloway"], "2043"),
        (["wrong customer, it's Iris Calloway", "credit limit?"], "2043"),
        (["Iris Calloway's balance?", "go back to the previous customer", "and the last payment?"], "2042"),
        (["Klara Tarrant's balance?", "back to the previous customer please"], "2042"),
        (["Iris Calloway's balance?", "Nora Whitlock's?", "the previous one", "balance?"], "2043"),
        (["Entschuldigung, ich meinte Iris Calloway", "Kontostand?"], "2043"),
        (["désolé, je voulais dire Iris Calloway", "le solde ?"], "2043"),
        (["Who is his wife?"], "2042"),
        (["what is his spouse's name"], "2042"),
        (["thanks, and the last payment?"], "2042"),
        (["what does mr tarrant owe"], "2042"),
    ],
)
async def test_correction_leads_to_the_customer_that_is_named(turns: list[str], customer_id: str) -> None:
    await check([FIRST, *turns], customer_id)


# --- names ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "customer_id"),
    [
        ("Balance of Peter Paul Mounds?", REFUSED),
        ("what is the balance of nora whitlock king", REFUSED),
        ("Balance of George Farley Jr.?", REFUSED),
        ("what does george farley the third owe", REFUSED),
        ("george farley senior balance please", "2050"),
        ("balance of George Farley", "2050"),
        ("Hilde Heide's balance", REFUSED),
        ("Hilde van der Heide's balance", REFUSED),
        ("what is hilde von der heides balance", "2051"),
        ("hilde vonderheide's balance", "2051"),
        ("Carmen Soto's balance", REFUSED),
        ("Carmen Vega's balance", REFUSED),
        ("what is the balance of carmen soto vega", "2052"),
        ("what does brendan o shea owe", "2053"),
        ("what is brendan osheas balance", "2053"),
        ("owen tarrants last payment", "2042"),
        ("NoraWhitlock balance", "2001"),
        ("Whitlock, Nora", "2001"),
        ("Paul Peter's balance", REFUSED),
        ("Mary Nora Whitlock's balance", REFUSED),
    ],
)
async def test_names_must_be_the_whole_name(said: str, customer_id: str) -> None:
    await check([said], customer_id)


# --- dates of birth ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "born",
    [
        "born 02/10/64", "born february tenth nineteen sixty four", "DOB 1965", "born in '65",
        "geboren am 10. Februar 1964",
        "née le 9 mars 1964", "nacida el 9 de febrero de 1965", "nata il 10 febbraio 1964", "geboren op 9 maart 1964",
        "nascida em 9 de fevereiro de 1963", "date of birth 31/31/1964", "born in March 1964", "(1965)",
        "dob 19640210",
        "geboren am zehnten februar neunzehnhundertvierundsechzig", "aged 30",
    ],
)  # fmt: skip
async def test_date_of_birth_that_does_not_fit_is_refused(born: str) -> None:
    await check([f"Nora Whitlock {born}, what is the balance?"], REFUSED)
    await check(["Nora Whitlock's balance?", born, "and the last payment?"], REFUSED)


@pytest.mark.parametrize(
    "born",
    [
        "born 02/09/64", "born february ninth nineteen sixty four", "DOB 1964", "born in '64",
        "geboren am 9. Februar 1964",
        "née le 9 février 1964", "nacida el 9 de febrero de 1964", "nata il 9 febbraio 1964",
        "geboren op 9 februari 1964",
        "nascida em 9 de fevereiro de 1964", "born in February 1964", "(1964)", "dob 19640209", "DOB 9-Feb-64",
        "geboren am neunten februar neunzehnhundertvierundsechzig",
        "née le neuf février mille neuf cent soixante-quatre",
    ],
)  # fmt: skip
async def test_date_of_birth_is_read_in_any_common_form(born: str) -> None:
    await check([f"Nora Whitlock {born}, what is the balance?"], "2001")


# --- choices ----------------------------------------------------------------------------------------------

NAMESAKES = "What is Alan Marsh's balance?"


@pytest.mark.parametrize(
    ("turns", "customer_id"),
    [
        (["the one born nineteen fifty two"], "2061"),
        (["number two"], "2061"),
        (["the second one please", "balance?"], "2061"),
        (["in Penrith"], "2062"),
        (["the ludlow one"], "2061"),
        (["born 1961", "and the last payment?"], "2062"),
        (["the oldest"], "2060"),
        (["the youngest one"], "2062"),
        (["not the one in Harwich", "not the one in Ludlow either"], "2062"),
        (["not the first one"], REFUSED),
        (["the first one", "sorry, I meant the second"], "2061"),
        (["the one in Ludlow", "no, the other one"], REFUSED),
        (["the one in York"], REFUSED),
        (["none of them", "balance?"], REFUSED),
        (["the fourth one"], REFUSED),
        (["der aus Penrith"], "2062"),
        (["celui de Penrith"], "2062"),
        (["why has the one in Ludlow not paid?"], "2061"),
        (["the last one"], "2062"),
    ],
)
async def test_choice_among_namesakes(turns: list[str], customer_id: str) -> None:
    await check([NAMESAKES, *turns], customer_id)


@pytest.mark.parametrize(
    ("turns", "customer_id"),
    [
        (["not the one born in 2010", "balance?"], REFUSED),
        (["it is not the person who was born in 1980"], REFUSED),
        (["not the one born in 2010", "not the one who was born in 1980"], "2071"),
        (["born 8 August 1980"], "2070"),
        (["it's Seth", "balance?"], "2071"),
        (["the name is Nora Whitlock", "balance?"], REFUSED),
        (["Faye Dale please"], "2072"),
        (["her date of birth is 3 March 1933", "balance?"], REFUSED),
    ],
)
async def test_shared_phone_is_narrowed_by_what_follows(turns: list[str], customer_id: str) -> None:
    await check(["calling from 503 555 0130, what is the balance?", *turns], customer_id)


async def test_list_says_how_many_it_leaves_out_and_is_not_repeated_in_the_same_words() -> None:
    towns: tuple[str, ...] = (
        "Alton",
        "Bude",
        "Crewe",
        "Diss",
        "Epsom",
        "Frome",
        "Goole",
        "Hythe",
        "Ilkley",
        "Jarrow",
        "Kendal",
        "Looe",
    )
    towns += ("Marlow", "Nairn")
    people = [person(f"N-{i}", "Ann Cole", f"{1930 + i}-01-01", t, f"+15035550{i:03}") for i, t in enumerate(towns)]
    first = await outcome("Ann Cole's balance?", people=people)
    assert (len(first.outcome.choices), first.outcome.more) == (5, 9)
    asked = clarification(first.outcome)
    assert "one of 9 others" in asked
    assert clarification(first.outcome, [asked]) != asked
    assert (await outcome("Ann Cole's balance?", "the one in Looe", people=people)).outcome.customer_id == "N-11"


# --- numbers as they are said -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("turns", "customer_id"),
    [
        (["my number is five oh three triple five oh double one two what is my balance"], "2042"),
        (["the number is 503", "555", "0112", "what's the balance?"], "2042"),
        (["my number is five zero three", "five five five zero one one two", "balance please"], "2042"),
        (
            ["Meine Nummer ist fünf null drei fünf fünf fünf null eins eins zwei, wie hoch ist der Kontostand?"],
            "2042",
        ),
        (["mon numéro est le cinq zéro trois cinq cinq cinq zéro un un deux"], "2042"),
        (["mi número es cinco cero tres cinco cinco cinco cero uno uno dos"], "2042"),
        (["il mio numero è cinque zero tre cinque cinque cinque zero uno uno due"], "2042"),
        (["mijn nummer is vijf nul drie vijf vijf vijf nul een een twee"], "2042"),
        (["meu número é cinco zero três cinco cinco cinco zero um um dois"], "2042"),
        (["(503) 555-0112 ext. 44, balance?"], "2042"),
        (["001 503 555 0112, balance?"], "2042"),
        (["customer two zero four two balance please"], "2042"),
        (["the number is 503", "balance?"], REFUSED),
        (["my number is five oh three five five five oh one nine nine what is the balance"], REFUSED),
    ],
)
async def test_numbers_are_read_as_they_are_said(turns: list[str], customer_id: str) -> None:
    await check(turns, customer_id)


@pytest.mark.parametrize(
    "said",
    [
        "Wie hoch ist der Kreditscore von Nora Whitlock?", "Was schuldet Frau Nora Whitlock uns noch?",
        "Quel est le solde de Nora Whitlock ?", "Quel est le score de crédit d'Nora Whitlock ?",
        "¿Cuánto debe Nora Whitlock?", "Qual è il limite di credito di Nora Whitlock?",
        "Wat is het saldo van mevrouw Nora Whitlock?", "Qual é o saldo da conta de Nora Whitlock?",
        "kontostand von nora whitlock bitte", "Nora Whitlocks Kontostand bitte",
    ],
)  # fmt: skip
async def test_questions_in_other_languages_find_the_customer(said: str) -> None:
    await check([said], "2001")


# --- the two steps by themselves --------------------------------------------------------------------------


def test_evidence_has_kind_span_polarity_and_strength() -> None:
    text = "Not Owen Tarrant, I need Nora Whitlock, born february ninth nineteen sixty four"
    found = {(e.kind, e.value): (text[e.start : e.end], e.polarity) for e in extract(text, region="US").evidence}
    assert found == {
        ("name", "Owen Tarrant"): ("Owen Tarrant", "negated"),
        ("name", "Nora Whitlock"): ("Nora Whitlock", "asserted"),
        ("date_of_birth", "1964-02-09"): ("february ninth nineteen sixty four", "asserted"),
    }


def test_resolution_needs_no_source() -> None:
    readings = [extract("Nora Whitlock, phone 503 555 0112, balance?", region="US")]
    asked = Identifiers(name="Nora Whitlock", phone="+15035550112")
    for people, expected in (((), ("none", "unknown")), (PEOPLE[8:10], ("several", "fits"))):
        resolver = Resolver(readings, Candidates(), spectrum=lambda i: "transactions", region="US")
        assert resolver.resolve() is None
        assert resolver.needed == asked
        resolver.candidates.add(asked, people)
        state = resolver.resolve()
        assert state is not None
        assert (state.kind, state.reason) == expected


class FromAPlugin:
    """An extractor that finds what it was made with."""

    def __init__(self, *found: Evidence, fails: bool = False) -> None:
        self.found = found
        self.fails = fails

    async def extract(self, text: str, *, region: str) -> Sequence[Evidence]:
        if self.fails:
            raise RuntimeError("no answer")
        return self.found


@pytest.mark.parametrize(
    ("extractor", "customer_id"),
    [
        (FromAPlugin(Evidence(kind="name", value="Iris Calloway")), "2043"),
        (FromAPlugin(Evidence(kind="phone", value="(503) 555-0113")), "2043"),
        (
            FromAPlugin(Evidence(kind="name", value="Nora Whitlock"), Evidence(kind="phone", value="5035550112")),
            REFUSED,
        ),
        (
            FromAPlugin(Evidence(kind="name", value="Nora Whitlock"), Evidence(kind="phone", value="unreadable")),
            REFUSED,
        ),
        (
            FromAPlugin(Evidence(kind="name", value="Nora Whitlock"), Evidence(kind="date_of_birth", value="")),
            REFUSED,
        ),
        (FromAPlugin(fails=True), "2001"),
    ],
)
async def test_what_a_plugin_extracts_passes_the_same_rule(extractor: FromAPlugin, customer_id: str) -> None:
    finder = CustomerFinder(SpottingSource(PEOPLE), "US", ("test", extractor))
    found = await finder.resolve([{"role": "user", "content": "Nora Whitlock's balance?"}], None, spectrum="general")
    assert (found.outcome.customer_id or REFUSED) == customer_id


def test_strengths_are_ordered() -> None:
    assert Strength.FAINT < Strength.WEAK < Strength.STRONG


# --- a customer that the request names ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "another"),
    [
        ("What is Owen Tarrant's balance?", True),
        ("balance of owen tarrant", True),
        ("What does Zelda Quimby owe?", True),
        ("customer 2042: balance?", True),
        ("What is Nora Whitlock's balance?", False),
        ("what does nora owe", False),
        ("customer 2001: balance?", False),
        ("What is the balance?", False),
        ("Did she pay Owen Tarrant?", False),
        ("Payments to Owen Tarrant?", False),
        ("My name is Sarah Connor, what is the balance?", False),
        ("Not Owen Tarrant, the other one", False),
        ("What is the balance of the Harwich branch?", False),
        ("and ticket 2042?", False),
    ],
)
def test_question_about_another_than_the_named_customer_is_noticed(said: str, another: bool) -> None:
    finder = CustomerFinder(SpottingSource(PEOPLE), "US")
    records = "first_name: Nora last_name: Whitlock city: Harwich"
    assert finder.names_another([{"role": "user", "content": said}], PEOPLE[0], records) is another


@pytest.mark.parametrize(
    ("who", "customer_id"),
    [
        (Identifiers(name="Nora Whitlock"), "2001"),
        (Identifiers(name="Nora Jo Whitlock"), REFUSED),
        (Identifiers(name="Nora Jo Whitlock", phone="+15035550111"), "2001"),
        (Identifiers(name="Ruth Jo Dale", phone="+15035550130"), REFUSED),
        (Identifiers(name="whitlock nora"), REFUSED),
        (Identifiers(name="whitlock nora", customer_id="2001"), "2001"),
    ],
)
async def test_name_of_a_batch_line_follows_the_rule_for_messages(who: Identifiers, customer_id: str) -> None:
    found = await CustomerFinder(SpottingSource(PEOPLE), "US").identify(who)
    assert (found.outcome.customer_id or REFUSED) == customer_id
