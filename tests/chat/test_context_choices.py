"""What tells several matches apart: the fewest traits that do, of as few those that reveal the least."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given, strategies as st

from tilores_core.chat.customer.choices import clarification, several
from tilores_core.chat.stored import outcome_from_bytes, outcome_to_bytes
from tilores_core.contracts import Customer

LABELS = ("born", "city", "customer since", "postcode begins")


def people(*traits: dict[str, str]) -> list[Customer]:
    return [
        Customer(id=f"C-{number}", name="Ann Lee", records=(), traits=shown) for number, shown in enumerate(traits)
    ]


def test_the_attribute_is_named() -> None:
    outcome = several(people({"born": "1970", "city": "Leeds"}, {"born": "1980", "city": "Leeds"}))
    assert outcome.distinguished_by == ("born",)
    assert [dict(choice.traits) for choice in outcome.choices] == [{"born": "1970"}, {"born": "1980"}]
    assert outcome_from_bytes(outcome_to_bytes(outcome)) == outcome


def test_of_two_pairs_the_less_revealing_is_taken() -> None:
    """Born and postcode would do as well, and stand first in the order of the dictionary."""
    outcome = several(
        people(
            {"born": "1970", "city": "Leeds", "since": "2001", "postcode": "LS1"},
            {"born": "1970", "city": "York", "since": "2001", "postcode": "YO1"},
            {"born": "1980", "city": "Leeds", "since": "2002", "postcode": "LS1"},
            {"born": "1980", "city": "York", "since": "2001", "postcode": "LS1"},
        )
    )
    assert outcome.distinguished_by == ("born", "city")
    outcome = several(
        people(
            {"born": "1970", "city": "Leeds", "since": "2001", "postcode": "A"},
            {"born": "1970", "city": "Leeds", "since": "2002", "postcode": "B"},
            {"born": "1980", "city": "York", "since": "2001", "postcode": "A"},
            {"born": "1980", "city": "Hull", "since": "2001", "postcode": "B"},
        )
    )
    assert outcome.distinguished_by == ("city", "since")


def test_a_trait_that_the_first_lacks_keeps_its_place() -> None:
    outcome = several(people({"postcode": "LS1"}, {"born": "1980", "postcode": "YO1"}))
    assert outcome.distinguished_by == ("born",)


def test_nothing_tells_them_apart() -> None:
    outcome = several(people({"city": "Leeds"}, {"city": "Leeds"}))
    assert outcome.distinguished_by == ()
    assert "nothing that I may say" in clarification(outcome)


def test_identifiers_are_said_in_part_only() -> None:
    outcome = several(
        people(
            {"mail": "ann.lee@example.com", "phone": "+44 20 7946 0018"},
            {"mail": "ann.lee@example.com", "phone": "+44 20 7946 0019"},
            {"mail": "b.lee@example.org", "phone": "+44 20 7946 0019"},
        )
    )
    said = clarification(outcome) + repr(outcome)
    assert outcome.distinguished_by == ("mail", "phone")
    assert dict(outcome.choices[0].traits) == {"mail": "a…@example.com", "phone": "ending 18"}
    assert "ann.lee" not in said
    assert "7946" not in said


@given(st.lists(st.fixed_dictionaries({label: st.sampled_from("abc") for label in LABELS}), min_size=2, max_size=6))
def test_no_smaller_and_no_less_revealing_set_would_do(traits: list[dict[str, str]]) -> None:
    traits = [{label: person[label] for label in LABELS} for person in traits]
    chosen = several(people(*traits)).distinguished_by

    def parts(labels: tuple[str, ...]) -> int:
        return len({tuple(person[label] for label in labels) for person in traits})

    sets = [labels for size in range(len(LABELS) + 1) for labels in combinations(LABELS, size)]
    most = max(map(parts, sets))
    assert parts(chosen) == most
    as_good = [labels for labels in sets if parts(labels) == most]
    revealing = [(len(labels), max((LABELS.index(label) for label in labels), default=-1)) for labels in as_good]
    assert (len(chosen), max((LABELS.index(label) for label in chosen), default=-1)) == min(revealing)
