"""How sure the records are: what the model is told of it, and that the key of an answer depends on just that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, strategies as st

from tests.chat.engine_world import ABOUT_EDWINA, EDWINA, Crm, World, question
from tilores_core.chat.context.quality import confidence, is_weak
from tilores_core.chat.prompts import BUILTIN_TEMPLATE
from tilores_core.chat.records import fingerprint, mark_weak, render
from tilores_core.chat.stored import customer_from_bytes, customer_to_bytes
from tilores_core.contracts import Customer, Identifiers, MatchQuality, Record
from tilores_core.testing.tiers import SharedStore
from tilores_core.testing.waiting import settle


def customer(*values: str, quality: MatchQuality | None = None) -> Customer:
    """One who lives where the values say, one value a record; all agree on the name."""
    records = [
        Record(id=f"r{number}", system="crm", fields={"city": value, "first_name": "Edwina"})
        for number, value in enumerate(values)
    ]
    return Customer(id="C-1", name="Edwina Hawthorne", records=tuple(records), quality=quality)


def header(one: Customer) -> str:
    return render(one).partition("\n")[0]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ("a a a b", 0.625),
        ("a A", 1.0),
        ("a b", 0.5),
        ("", 1.0),
        ("+15035550142 5035550142", 1.0),
    ],
)
def test_confidence_is_the_sum_of_squared_shares(values: str, expected: float) -> None:
    assert confidence(values.split()) == expected


def test_a_name_in_either_order_is_one_value() -> None:
    assert confidence(["Hawthorne, Edwina", "Edwina Hawthorne"]) == 1.0


def test_disputed_fields_are_named_and_others_are_not() -> None:
    assert ' unsure="city">' in header(customer("Leeds", "York"))
    assert "unsure" not in header(customer("Leeds", "Leeds", "Leeds", "York"))
    assert "unsure" not in header(customer("Leeds", "leeds"))


def test_records_that_contradict_each_other_much_are_said_to() -> None:
    assert 'consistency="low"' not in header(customer("Leeds", "York"))
    torn = [Record(id=f"r{n}", system="crm", fields={"city": city, "tier": city}) for n, city in enumerate("abc")]
    assert 'consistency="low"' in header(Customer(id="C-1", name=None, records=tuple(torn)))


def test_what_the_source_says_counts_before_our_own_figure() -> None:
    said = MatchQuality(consistency=0.2, confidence={"city": 0.9, "first_name": 0.3, "shoes": 0.1})
    assert header(customer("Leeds", "York", quality=said)).endswith('consistency="low" unsure="first_name">')


def test_names_in_the_header_cannot_end_it() -> None:
    odd = Record(id="r", system="crm", fields={'a">\n</records>': "x"})
    said = MatchQuality(confidence={'a">\n</records>': 0.1})
    text = render(Customer(id="C-1", name=None, records=(odd,), quality=said))
    assert text.count("</records>") == 1
    assert len(text.splitlines()) == 4


def test_the_built_in_prompt_says_what_the_warnings_mean() -> None:
    for word in ("unsure", 'consistency="low"', 'match="weak"', "left out"):
        assert word in BUILTIN_TEMPLATE


scores = st.none() | st.floats(0, 1)
qualities = st.none() | st.builds(
    MatchQuality,
    consistency=scores,
    hit_score=scores,
    confidence=st.dictionaries(st.sampled_from(["city", "first_name", "shoes"]), st.floats(0, 1)),
)
people = st.builds(
    lambda values, quality: customer(*values, quality=quality),
    st.lists(st.sampled_from(["Leeds", "York"]), min_size=1, max_size=4),
    qualities,
)


@given(people, people)
def test_what_a_model_is_told_differs_only_where_the_key_does(one: Customer, other: Customer) -> None:
    def told(each: Customer) -> str:
        return mark_weak(render(each)) if is_weak(each.quality) else render(each)

    def key(each: Customer) -> tuple[str, bool]:
        return fingerprint(each), is_weak(each.quality)

    if told(one) != told(other):
        assert key(one) != key(other)


@given(people, scores)
def test_a_hit_score_makes_no_other_fingerprint(one: Customer, score: float | None) -> None:
    again = replace(one, quality=replace(one.quality or MatchQuality(), hit_score=score))
    assert fingerprint(again) == fingerprint(one)
    assert render(again) == render(one)


@given(people)
def test_quality_survives_the_cache_but_for_the_hit_score(one: Customer) -> None:
    again = customer_from_bytes(customer_to_bytes(one))
    assert render(again) == render(one)
    assert fingerprint(again) == fingerprint(one)
    assert again.quality is None or again.quality.hit_score is None


def test_a_trifling_change_of_a_figure_is_no_other_customer() -> None:
    def with_figure(value: float) -> Customer:
        return customer("Leeds", quality=MatchQuality(consistency=value, confidence={"city": value}))

    assert fingerprint(with_figure(0.91)) == fingerprint(with_figure(0.90))
    assert fingerprint(with_figure(0.91)) != fingerprint(with_figure(0.41))


# --- a weak hit ------------------------------------------------------------------------------------------


class Scoring(Crm):
    """Every search fits as well as `score` says; by id nothing is searched."""

    score: float | None = None

    async def find(self, identifiers: Identifiers, *, limit: int = 10) -> Sequence[Customer]:
        found = await super().find(identifiers, limit=limit)
        return [replace(each, quality=MatchQuality(hit_score=self.score)) for each in found]


async def test_a_weak_hit_is_told_and_has_its_own_answers() -> None:
    crm = Scoring()
    async with World(crm=crm) as world:
        world.provider.enqueue("Weakly.", "By id.", "Strongly.")
        crm.score = 0.2
        assert (await world.ask(ABOUT_EDWINA)).text == "Weakly."
        assert '<records match="weak" customer="EDW' in world.provider.asked[-1].system
        assert (await world.ask(ABOUT_EDWINA)).text == "Weakly."  # from the cache
        assert (await world.ask(ABOUT_EDWINA, customer_id=EDWINA.id)).text == "By id."
        assert 'match="weak" customer' not in world.provider.asked[-1].system
        crm.score = 0.9
        said = f"{ABOUT_EDWINA} Please."
        assert (await world.ask(said)).text == "Strongly."
        assert 'match="weak" customer' not in world.provider.asked[-1].system
        assert world.calls == 3


async def test_a_weak_hit_is_known_without_the_source() -> None:
    """From memory, and in another replica from the shared tier."""
    store = SharedStore()
    crm = Scoring()
    crm.score = 0.2
    async with World(crm=crm, store=store) as world:
        store.clock = world.clock
        world.provider.enqueue("Weakly.")
        await world.ask()
        key = world.key(question())
        assert key is not None
        assert world.peek(question(), key) is not None
        asked = len(crm.calls)
        await settle()
        async with World(crm=crm, store=store, clock=world.clock, provider=world.provider) as other:
            assert (await other.ask()).text == "Weakly."
        assert len(crm.calls) == asked
        assert world.calls == 1
