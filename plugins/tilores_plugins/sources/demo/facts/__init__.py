"""What is true of a customer: one module per spectrum, each building on those before it."""

from __future__ import annotations

from tilores_plugins.sources.demo.dice import Dice
from tilores_plugins.sources.demo.facts import calls, credit, geography, profile, relations, temporal, transactions
from tilores_plugins.sources.demo.facts.common import Facts
from tilores_plugins.sources.demo.people import SEED, Person

__all__ = ["Facts", "facts_of"]

_SPECTRUMS = (profile, credit, transactions, calls, relations, geography, temporal)


def facts_of(person: Person) -> Facts:
    """Every fact about a person, name -> JSON value, None where there is nothing; the same on every call."""
    facts: Facts = {}
    for spectrum in _SPECTRUMS:
        # Dice of its own for each spectrum: a new field in one leaves the others as they are.
        dice = Dice(f"{SEED}/{person.id}/{spectrum.__name__.rpartition('.')[2]}")
        facts.update(spectrum.facts(dice, person, facts))
    return facts
