"""Whom a conversation is about."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from tilores_core.chat.customer.finder import CustomerFinder, Resolution, clarification
from tilores_core.chat.customer.resolution import Resolver
from tilores_core.contracts import (
    Customer,
    CustomerChoice,
    CustomerOutcome,
    Identifiers,
    Message,
    Record,
    SourceSchema,
)
from tilores_core.errors import SourceUnavailableError
from tilores_core.identity import find_mentions, name_fits, name_keys, name_words
from tilores_core.spectrums import classify


def customer(
    customer_id: str, name: str, *, email: str = "", phone: str = "", dob: str = "", **traits: str
) -> Customer:
    fields = {"email": email, "phone": phone, "date_of_birth": dob}
    record = Record(id=f"r-{customer_id}", system="crm", fields={k: v for k, v in fields.items() if v})
    told = ({"born": dob} if dob else {}) | traits
    return Customer(id=customer_id, name=name, records=(record,), traits=told)


EDWINA = customer(
    "EDW_HAWTHORNE_001",
    "Edwina Hawthorne",
    email="edwina.hawthorne@example.com",
    phone="+12025550143",
    dob="1962-04-12",
    city="Manchester",
)
SMITH_1 = customer("C-1001", "John Smith", email="js1@example.com", dob="1980-03-04", city="Leeds", state="IN")
SMITH_2 = customer("C-1002", "John Smith", email="js2@example.com", dob="1975-11-20", city="York", state="OR")
SMITH_3 = customer("C-1003", "John Smith", email="js3@example.com", dob="1991-07-01", city="San Jose", state="CA")
MULLER = customer("4711", "Jürgen Müller", phone="+442079460018", dob="1970-01-02", city="Köln")
OBRIEN = customer("C-2001", "Siobhan O'Brien", dob="1988-08-08", city="Dublin")
BERG = customer("C-2002", "Anna van der Berg", dob="1990-09-09", city="Utrecht")
MARIA = customer("C-3001", "Maria de la Cruz", phone="+12025550199", dob="1966-06-06", city="Reno")
PEDRO = customer("C-3002", "Pedro de la Cruz", phone="+12025550199", dob="1964-04-04", city="Reno")
BELL_1 = customer("C-4001", "Tom Bell", city="Bath")
BELL_2 = customer("C-4002", "Tom Bell", city="Bath")
BY_PHONE = customer("C-5001", "Zorblax Quuxington", phone="+12025550177")
EVERYBODY = (
    EDWINA, SMITH_1, SMITH_2, SMITH_3, MULLER, OBRIEN, BERG, MARIA, PEDRO, BELL_1, BELL_2, BY_PHONE,
)  # fmt: skip


class MemorySource:
    """Customers in memory, looked up as the built-in sources do."""

    def __init__(self, customers: Sequence[Customer] = EVERYBODY) -> None:
        self.customers = customers
        self.lookups = 0

    async def get(self, customer_id: str) -> Customer | None:
        self.lookups += 1
        return next((c for c in self.customers if c.id == customer_id), None)

    async def find(self, identifiers: Identifiers, *, limit: int = 10) -> Sequence[Customer]:
        self.lookups += 1
        assert identifiers, "an empty look-up fits everybody"
        return [c for c in self.customers if self._fits(c, identifiers)][:limit]

    @staticmethod
    def _fits(c: Customer, who: Identifiers) -> bool:
        fields = c.records[0].fields
        return (
            (who.customer_id is None or who.customer_id == c.id)
            and (who.email is None or who.email == fields.get("email"))
            and (who.phone is None or who.phone == fields.get("phone"))
            and (who.date_of_birth is None or who.date_of_birth == fields.get("date_of_birth"))
            and (who.name is None or (len(who.name.split()) > 1 and name_fits(who.name, [c.name or ""])))
        )

    async def schema(self) -> SourceSchema:
        return SourceSchema(fields=(), hash="0")

    async def aclose(self) -> None:
        pass


class SpottingSource(MemorySource):
    """One that also spots its customers in free text."""

    def mentions(self, text: str) -> Sequence[Identifiers]:
        words = {word for c in self.customers for word in name_words(c.name or "")}
        names = {key for c in self.customers for key in name_keys(c.name or "")}
        ids = {c.id.casefold() for c in self.customers}
        return find_mentions(text, is_word=words.__contains__, is_name=names.__contains__, is_id=ids.__contains__)


@pytest.fixture(params=[MemorySource, SpottingSource])
def source(request: pytest.FixtureRequest) -> MemorySource:
    made: MemorySource = request.param()
    return made


def conversation(*said: str) -> list[Message]:
    """User messages, with an assistant that answers in between."""
    messages: list[Message] = []
    for text in said:
        if messages:
            messages.append({"role": "assistant", "content": "Certainly."})
        messages.append({"role": "user", "content": text})
    return messages


async def ask(source: MemorySource, *said: str, region: str = "US") -> Resolution:
    finder = CustomerFinder(source, region)
    return await finder.resolve(conversation(*said), None, spectrum=classify(said[-1]))


# --- one message -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "customer_id"),
    [
        ("What is Edwina Hawthorne's credit score?", EDWINA.id),
        ("what is edwina hawthorne's credit score", EDWINA.id),
        ("WHAT IS EDWINA HAWTHORNE CREDIT SCORE NOW", EDWINA.id),
        ("edwina hawthorne", EDWINA.id),
        ("Hawthorne, Edwina", EDWINA.id),
        ("credit score for edwina hawthorne please", EDWINA.id),
        ("customer edwina hawthorne what does she owe", EDWINA.id),
        ("What did Edwina Hawthorne pay on 2024-03-01?", EDWINA.id),
        ("Edwina Hawthorne, born 12 April 1962: address?", EDWINA.id),
        ("Dr. Edwina Hawthorne's employer", EDWINA.id),
        ("Hi, my name is Sarah Connor. What is Edwina Hawthorne's score?", EDWINA.id),
        ("Hi, I'm Edwina Hawthorne. What do I owe?", EDWINA.id),
        ("Email Edwina Hawthorne's summary to boss@bank.example", EDWINA.id),
        ("What does edwina.hawthorne@example.com owe?", EDWINA.id),
        ("email is edwina dot hawthorne at example dot com", EDWINA.id),
        ("EDWINA.HAWTHORNE@EXAMPLE.COM", EDWINA.id),
        ("the caller's number is (202) 555-0143", EDWINA.id),
        ("202.555.0143 is calling", EDWINA.id),
        ("+1 202 555 0143", EDWINA.id),
        ("customer 2025550143", EDWINA.id),
        ("EDW_HAWTHORNE_001 credit score", EDWINA.id),
        ("customer edw_hawthorne_001: credit score", EDWINA.id),
        ("What is the credit score of customer id EDW_HAWTHORNE_001?", EDWINA.id),
        ("customer 4711, last payment", MULLER.id),
        ("Jürgen Müller's balance", MULLER.id),
        ("balance of Juergen Mueller", MULLER.id),
        ("call from +44 20 7946 0018, who is it", MULLER.id),
        ("Show me Siobhan O’Brien’s loans", OBRIEN.id),
        ("siobhan o'brien's loans", OBRIEN.id),
        ("What about Anna van der Berg?", BERG.id),
        ("loans of anna van der berg", BERG.id),
        ("Does Maria de la Cruz have a mortgage?", MARIA.id),
        ("John Smith born 1980-03-04: credit limit?", SMITH_1.id),
        ("John Smith, 20 November 1975", SMITH_2.id),
        ("What does John Smith in Leeds owe?", SMITH_1.id),
        ("John Smith (js3@example.com) and his loans", SMITH_3.id),
        ("C-1003's address", SMITH_3.id),
        ("Pedro de la Cruz, (202) 555-0199", PEDRO.id),
        ("(202) 555-0199, born 1966-06-06", MARIA.id),
    ],
)
async def test_one_customer(source: MemorySource, text: str, customer_id: str) -> None:
    found = await ask(source, text)
    assert found.outcome == CustomerOutcome(kind="one", customer_id=customer_id)
    assert found.customer is not None
    assert found.customer.id == customer_id


@pytest.mark.parametrize(
    "text",
    [
        "Who was the first president of the United States?",
        "What can you do?",
        "Summarize our conversation",
        "What is the weather in New York?",
        "Hello!",
        "tell me a joke",
        "Who wrote Romeo And Juliet Again Please",
        "Tell me about Albert Einstein",
        "What is a good credit score?",
        "how can customers improve their credit score",
        "born 1980-03-04",
        "In 2024 what happened?",
        "\ud800\x00\x1b",
    ],
)
async def test_general_questions_name_nobody(source: MemorySource, text: str) -> None:
    assert (await ask(source, text)).outcome == CustomerOutcome(kind="unnamed")


@pytest.mark.parametrize(
    "text",
    [
        "What is John Smithers credit score?",
        "what is john smithers credit score",
        "What is Priyanka Deshpande's balance?",
        "customer 9999, credit score",
        "credit score for C-9999",
        "nobody@example.com owes how much?",
        "call from (202) 555-0111",
        "Edwina Hawthorne, born 1963-01-01",
        "js2@example.com, is this Edwina?",
        "Who is customer Zebulon Quark?",
    ],
)
async def test_somebody_unknown(source: MemorySource, text: str) -> None:
    assert (await ask(source, text)).outcome == CustomerOutcome(kind="none")
    # nor does it fall back to the customer spoken of before
    assert (await ask(source, "Edwina Hawthorne's balance?", text)).outcome == CustomerOutcome(kind="none")


# --- conversations ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "customer_id"),
    [
        (["What is Edwina Hawthorne's credit score?", "and her debts?"], EDWINA.id),
        (["Edwina Hawthorne", "credit score", "address", "last payment", "and how old is she?"], EDWINA.id),
        (["Edwina Hawthorne's score", "What is the weather in New York?", "and her loans?"], EDWINA.id),
        (["Edwina Hawthorne's score", "Who was George Orwell in her books?", "her loans?"], EDWINA.id),
        (["Edwina Hawthorne's score", "How much did she spend at Deutsche Bank?"], EDWINA.id),
        (["Edwina Hawthorne's score", "Did she fly with British Airways this month?"], EDWINA.id),
        (["Edwina Hawthorne's score", "What about Edwina's mortgage?"], EDWINA.id),
        (["Edwina Hawthorne's score", "what does mrs hawthorne owe"], EDWINA.id),
        (["Edwina Hawthorne's score", "customer 4711's score", "his address"], MULLER.id),
        (["customer 4711's score", "and what about edwina hawthorne", "her address"], EDWINA.id),
        (["customer 4711's score", "Edwina Hawthorne's", "back to Jürgen Müller's loans"], MULLER.id),
        (["John Smith's score", "born 1975-11-20"], SMITH_2.id),
        (["John Smith's score", "1975-11-20"], SMITH_2.id),
        (["John Smith's score", "20 November 1975, I think"], SMITH_2.id),
        (["John Smith's score", "the one in Leeds"], SMITH_1.id),
        (["John Smith's score", "the one from San Jose"], SMITH_3.id),
        (["John Smith's score", "San Jose"], SMITH_3.id),
        (["John Smith's score", "born 1980"], SMITH_1.id),
        (["John Smith's score", "born in 1991", "and his loans?", "his address?"], SMITH_3.id),
        (["John Smith's score", "the one in York", "did he move to Leeds?"], SMITH_2.id),
        (["John Smith's score", "in Leeds", "sorry, I meant York"], SMITH_2.id),
        (["John Smith's score", "not the one in Leeds", "not the one in York either"], SMITH_3.id),
        (["John Smith's score", "C-1002"], SMITH_2.id),
        (["John Smith's score", "js3@example.com"], SMITH_3.id),
        (["he was born on 1975-11-20", "John Smith's score"], SMITH_2.id),
        (["Edwina Hawthorne's score", "next: born 1975-11-20", "John Smith's score"], SMITH_2.id),
        (["John Smith's score", "born 1975-11-20", "What does John Smith owe?"], SMITH_2.id),
        (["customer C-1003", "What does John Smith owe?"], SMITH_3.id),
        (["call from (202) 555-0199", "Maria de la Cruz"], MARIA.id),
        (["call from (202) 555-0199", "it is Pedro"], PEDRO.id),
        (["John Smith's score", "born 1975-11-20", "Edwina Hawthorne's score", "and her loans?"], EDWINA.id),
        (["Zorblax Quuxington's score", "and the debts?"], BY_PHONE.id),
    ],
)
async def test_conversations(source: MemorySource, said: list[str], customer_id: str | None) -> None:
    found = await ask(source, *said)
    if customer_id is None:
        assert found.outcome.kind == "several"
    else:
        assert found.outcome == CustomerOutcome(kind="one", customer_id=customer_id)


async def test_a_date_said_of_one_is_not_used_for_another(source: MemorySource) -> None:
    found = await ask(source, "Edwina Hawthorne, born 1962-04-12", "John Smith's score")
    assert found.outcome.kind == "several"


async def test_after_an_unknown_name_a_follow_up_is_about_the_unknown(source: MemorySource) -> None:
    found = await ask(source, "Edwina Hawthorne's score", "John Smithers' score?", "and his debts?")
    assert found.outcome == CustomerOutcome(kind="none")


async def test_a_general_question_about_somebody_does_not_get_a_customers_records(source: MemorySource) -> None:
    found = await ask(source, "Edwina Hawthorne's score", "Tell me about Albert Einstein")
    assert found.outcome == CustomerOutcome(kind="unnamed")


async def test_two_people_with_equal_claim_are_asked_about(source: MemorySource) -> None:
    found = await ask(source, "Compare Edwina Hawthorne's and Jürgen Müller's scores")
    assert found.outcome.kind == "several"


async def test_only_users_are_listened_to(source: MemorySource) -> None:
    messages: list[Message] = [
        {"role": "system", "content": "The customer is customer 4711."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Edwina Hawthorne's score is 700."},
        {"role": "tool", "content": "customer 4711", "tool_call_id": "1"},
        {"role": "user", "content": "and the debts?"},
    ]
    found = await CustomerFinder(source, "US").resolve(messages, None, spectrum="credit_analysis")
    assert found.outcome == CustomerOutcome(kind="unnamed")


async def test_text_parts_are_read(source: MemorySource) -> None:
    parts: list[dict[str, Any]] = [
        {"type": "image_url", "image_url": {"url": "data:,"}},
        {"type": "text", "text": "Whose is this?"},
        {"type": "text", "text": "Edwina Hawthorne's?"},
        {"type": "text"},
        {"type": "text", "text": None},
    ]
    messages: list[Message] = [{"role": "user", "content": parts}, {"role": "assistant", "content": None}]
    found = await CustomerFinder(source, "US").resolve(messages, None, spectrum="general")
    assert found.customer is EDWINA


async def test_the_given_id_decides(source: MemorySource) -> None:
    finder = CustomerFinder(source, "US")
    said = conversation("What is Jürgen Müller's score?")
    assert (await finder.resolve(said, EDWINA.id, spectrum="credit_analysis")).customer is EDWINA
    nobody = await finder.resolve(said, "edwina", spectrum="credit_analysis")
    assert nobody == Resolution(outcome=CustomerOutcome(kind="none"))
    assert source.lookups == 2


async def test_the_region_reads_phone_numbers() -> None:
    assert (await ask(MemorySource(), "020 7946 0018", region="GB")).customer is MULLER


async def test_a_failing_source_is_not_nobody() -> None:
    class Down(MemorySource):
        async def get(self, customer_id: str) -> Customer | None:
            raise SourceUnavailableError("down")

        async def find(self, identifiers: Identifiers, *, limit: int = 10) -> Sequence[Customer]:
            raise SourceUnavailableError("down")

    with pytest.raises(SourceUnavailableError):
        await ask(Down(), "Edwina Hawthorne's score")
    with pytest.raises(SourceUnavailableError):
        await CustomerFinder(Down(), "US").resolve(conversation("Hi"), "4711", spectrum="general")


# --- several ---------------------------------------------------------------------------------------------


async def test_choices_show_only_what_tells_apart(source: MemorySource) -> None:
    found = await ask(source, "John Smith's score")
    assert found.customer is None
    assert found.outcome.choices == tuple(
        CustomerChoice(traits={"born": born}) for born in ("1980-03-04", "1975-11-20", "1991-07-01")
    )
    said = clarification(found.outcome)
    assert said == (
        "Several customers fit. Which one do you mean: born 1980-03-04; born 1975-11-20; or born 1991-07-01?"
    )
    assert "Smith" not in said
    assert "Leeds" not in said


async def test_a_partly_narrowed_question_offers_what_is_left(source: MemorySource) -> None:
    found = await ask(source, "John Smith's score", "not the one in Leeds")
    assert [choice.traits for choice in found.outcome.choices] == [{"born": "1975-11-20"}, {"born": "1991-07-01"}]


async def test_nothing_tells_them_apart(source: MemorySource) -> None:
    found = await ask(source, "Tom Bell's score")
    assert found.outcome.choices == (CustomerChoice(traits={}), CustomerChoice(traits={}))
    assert "nothing that I may say" in clarification(found.outcome)


def namesakes(*traits: dict[str, str]) -> MemorySource:
    return MemorySource([replace(customer(f"N-{i}", "Ann Lee"), traits=t) for i, t in enumerate(traits)])


@pytest.mark.parametrize(
    ("traits", "choices"),
    [
        ([{"city": "Ely", "born": "1980"}, {"city": "Ely", "born": "1990"}], [{"born": "1980"}, {"born": "1990"}]),
        ([{"city": "Ely"}, {"city": "ELY"}], [{}, {}]),
        ([{"city": "Ely"}, {}], [{"city": "Ely"}, {}]),
        (
            [{"a": "1", "b": "1", "c": "9"}, {"a": "1", "b": "2", "c": "9"}, {"a": "2", "b": "1", "c": "9"}],
            [{"a": "1", "b": "1"}, {"a": "1", "b": "2"}, {"a": "2", "b": "1"}],
        ),
        (
            [{"a": "1", "b": "1", "c": "1"}, {"a": "1", "b": "2", "c": "2"}, {"a": "2", "b": "1", "c": "3"}],
            [{"c": "1"}, {"c": "2"}, {"c": "3"}],
        ),
        ([{"city": "Ely"}, {"city": "Ely"}, {"city": "Bath"}], [{"city": "Ely"}, {"city": "Ely"}, {"city": "Bath"}]),
    ],
)
async def test_the_fewest_traits_are_told(traits: list[dict[str, str]], choices: list[dict[str, str]]) -> None:
    found = await ask(namesakes(*traits), "Ann Lee's score")
    assert [dict(choice.traits) for choice in found.outcome.choices] == choices


async def test_at_most_five_are_offered() -> None:
    found = await ask(namesakes(*({"city": f"Town{i}"} for i in range(9))), "Ann Lee's score")
    assert len(found.outcome.choices) == 5


async def test_a_trait_does_not_decide_when_there_may_be_more_than_were_found() -> None:
    source = namesakes(*({"city": f"Town{i}"} for i in range(30)))
    assert (await ask(source, "Ann Lee's score", "the one in Town3")).outcome.kind == "several"


async def test_the_year_of_another_date_tells_nothing() -> None:
    source = namesakes({"born": "1980"}, {"born": "1990"})
    assert (await ask(source, "Ann Lee's score", "1980")).outcome.customer_id == "N-0"
    assert (await ask(source, "Ann Lee's score", "1980-05-05")).outcome.kind in ("none", "several")


async def test_a_short_trait_is_no_word(source: MemorySource) -> None:
    assert (await ask(source, "John Smith's score", "or the one in Rome")).outcome.kind == "several"
    assert (await ask(source, "John Smith's score", "the one in OR")).customer is SMITH_2


async def test_a_reply_may_count(source: MemorySource) -> None:
    finder = CustomerFinder(source, "US")
    asked = clarification((await ask(source, "John Smith's score")).outcome)
    messages: list[Message] = [
        {"role": "user", "content": "John Smith's score"},
        {"role": "assistant", "content": asked},
        {"role": "user", "content": "The second one, please."},
    ]
    assert (await finder.resolve(messages, None, spectrum="general")).customer is SMITH_2
    messages[1]["content"] = "Which one do you mean?"  # no list that could be counted
    assert (await finder.resolve(messages, None, spectrum="general")).outcome.kind == "several"


def test_clarification_of_nobody_echoes_nothing_and_helps() -> None:
    said = clarification(CustomerOutcome(kind="none"))
    assert all(word in said for word in ("date of birth", "phone number", "e-mail", "customer ID"))


def test_clarification_of_one_that_lacks_the_trait() -> None:
    choices = (CustomerChoice(traits={"city": "Ely"}), CustomerChoice(traits={}))
    said = clarification(CustomerOutcome(kind="several", choices=choices))
    assert said == "Several customers fit. Which one do you mean: city Ely; or somebody else?"


@pytest.mark.parametrize("kind", ["one", "unnamed"])
def test_nothing_to_clarify(kind: str) -> None:
    with pytest.raises(ValueError, match="nothing to clarify"):
        clarification(CustomerOutcome(kind=kind))  # type: ignore[arg-type]  # only the two kinds above


# --- laws ------------------------------------------------------------------------------------------------

NAMING: dict[str, tuple[str, ...]] = {
    EDWINA.id: (
        "What is Edwina Hawthorne's score?",
        "call from (202) 555-0143",
        "score of edwina.hawthorne@example.com?",
    ),
    MULLER.id: ("customer 4711 please", "what about jürgen müller's loans", "+44 20 7946 0018 is on the line"),
    OBRIEN.id: ("Siobhan O'Brien's debts", "customer C-2001", "for customer siobhan o'brien"),
    SMITH_2.id: ("John Smith, born 1975-11-20", "customer id C-1002", "what about js2@example.com"),
    PEDRO.id: ("Pedro de la Cruz's credit", "(202) 555-0199, Pedro de la Cruz"),
}
STRANGERS = ("John Smithers's score", "customer 9999", "nobody@example.com's debts", "call from (202) 555-0111")
FOLLOW_UPS = (
    "and the debts?",
    "what about the last payment",
    "her address?",
    "thank you",
    "in short, please",
    "How so?",
)


@given(
    st.lists(st.sampled_from([*NAMING, "stranger", "follow-up"]), min_size=1, max_size=12),
    st.randoms(use_true_random=False),
    st.booleans(),
)
@settings(max_examples=150, deadline=None)
async def test_the_answer_is_about_the_last_one_named(turns: list[str], rng: random.Random, spots: bool) -> None:
    expected: str | None = None
    said = []
    for turn in turns:
        if turn == "follow-up":
            said.append(rng.choice(FOLLOW_UPS))
        else:
            said.append(rng.choice(STRANGERS if turn == "stranger" else NAMING[turn]))
            expected = turn
    found = await ask(SpottingSource() if spots else MemorySource(), *said)
    if expected is None:
        assert found.outcome.kind == "unnamed"
    elif expected == "stranger":
        assert found.outcome.kind == "none"
    else:
        assert found.outcome.customer_id == expected


@given(st.lists(st.text(alphabet=st.characters(), max_size=80), min_size=1, max_size=6))
@settings(max_examples=100, deadline=None)
async def test_any_conversation_can_be_read(said: list[str]) -> None:
    found = await ask(SpottingSource(), *said)
    assert (found.customer is not None) == (found.outcome.kind == "one")


async def test_work_is_bounded() -> None:
    source = MemorySource()
    many = " ".join(f"Abc{chr(97 + i % 26)} Xyz{chr(97 + i // 26)}, and C-{i}" for i in range(600))
    await ask(source, *([many] * 60), "and the score?")
    assert source.lookups <= 40 * 8


@pytest.mark.parametrize(("kind", "lookups"), [(MemorySource, 1), (SpottingSource, 0)])
async def test_word_that_may_be_an_id_is_looked_up_once_or_not_at_all(kind: type[MemorySource], lookups: int) -> None:
    source = kind()
    found = await ask(source, "Question number s1-0-7 please")
    assert (found.outcome.kind, source.lookups) == ("unnamed", lookups)


@pytest.mark.parametrize(
    "question", ["What is X-300?", "What is Ada Nowhere's score?", "how is the connection pool configured"]
)
async def test_what_no_customer_fits_is_asked_for_again_only_later(question: str) -> None:
    source, now = MemorySource(), 0.0
    finder = CustomerFinder(source, "US", negative_seconds=15.0, clock=lambda: now)

    async def lookups(*, renew: bool = False) -> int:
        before = source.lookups
        messages = conversation(question)
        read = finder.read(messages, spectrum="general", renew=renew)
        if isinstance(read, Resolver):
            await finder.resolve(messages, None, spectrum="general", begun=read, renew=renew)
        return source.lookups - before

    assert [await lookups(), await lookups(), await lookups(renew=True), await lookups()] == [1, 0, 1, 0]
    finder.forget_absent()
    assert await lookups() == 1
    now = 20.0
    assert await lookups() == 1


async def test_the_beginning_of_a_conversation_is_kept_only_while_no_customer_fits_it() -> None:
    source, now = MemorySource(()), 0.0
    finder = CustomerFinder(source, "US", negative_seconds=15.0, clock=lambda: now)

    async def ask_on(last: str) -> tuple[str, str | None, int]:
        before, messages = source.lookups, conversation("What is Edwina Hawthorne's score?", last)
        found = finder.read(messages, spectrum="general")
        if isinstance(found, Resolver):
            found = await finder.resolve(messages, None, spectrum="general", begun=found)
        assert found is not None
        return found.outcome.kind, found.outcome.customer_id, source.lookups - before

    assert [await ask_on(last) for last in ("and the limit?", "and the limit?", "and the terms?")] == [
        ("none", None, 1),
        ("none", None, 0),
        ("none", None, 0),
    ]
    source.customers = EVERYBODY
    assert await ask_on("and the fees?") == ("none", None, 0)
    now = 20.0
    assert await ask_on("and the fees?") == ("one", EDWINA.id, 1)
    assert await ask_on("and the terms?") == ("one", EDWINA.id, 1)
