"""Which customers fit pieces of evidence, as the source and their records say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tilores_core.chat.customer import facts
from tilores_core.chat.customer.extraction import Reading
from tilores_core.chat.customer.places import with_other_towns
from tilores_core.chat.customer.said import Said
from tilores_core.chat.customer.state import Candidates, Customers, State, combinations, kind_of, readings
from tilores_core.chat.customer.words import OF
from tilores_core.contracts import Customer, Evidence, Identifiers
from tilores_core.identity import name_fits, normalise_name


class Matcher:
    """Compares customers with evidence. Raises `LookupNeeded` where the source must be asked first."""

    def __init__(self, candidates: Candidates) -> None:
        self._candidates = candidates

    def fitting(
        self, given: Sequence[Evidence], partial: Sequence[Evidence], reading: Reading | None
    ) -> tuple[list[Customer], bool]:
        """The customers that fit everything that identifies, and whether these are all."""
        by_kind: dict[str, list[Evidence]] = {}
        for item in given:
            by_kind.setdefault(item.kind, []).append(item)
        whole = [e for e in (reading.born if reading else ()) if e.polarity != "negated" and len(e.value) == 10]
        base: list[dict[str, str]] = [{}]
        names = by_kind.pop("name", [])
        if names:
            base = [{"name": value} for value in (names[0].value, *names[0].alternatives)]
        elif partial and by_kind:
            base = [{"name": partial[0].value}]
        if whole:
            base = [{**w, "date_of_birth": d} for w in base for d in (whole[0].value, *whole[0].alternatives)]
        found: dict[str, Customer] | None = None
        complete = True
        for choice in combinations(by_kind):
            here: dict[str, Customer] = {}
            for reading_of in readings(choice):
                for who in base:
                    asked = Identifiers(**{**who, **reading_of})
                    here.update((customer.id, customer) for customer in self._candidates.of(asked))
                    complete = complete and self._candidates.is_complete(asked)
                if here:
                    break
            found = here if found is None else {key: value for key, value in found.items() if key in here}
        return list((found or {}).values()), complete

    def find_at_place(self, given: Sequence[Evidence], name: Evidence, said: Said) -> list[Customer]:
        """Those called "Maria Weber" in "Aachen", of "maria weber aachen" or "Maria Weber di Aachen"."""
        shorter, _, place = name.value.rpartition(" ")
        while (words := shorter.rpartition(" "))[2] in OF:
            shorter = words[0]
        if len(given) > 1 or " " not in shorter:
            return []
        at = replace(name, kind="place", value=place, alternatives=())
        at = [*with_other_towns([at], said)][-1]
        return [c for c in self._candidates.of(Identifiers(name=shorter)) if facts.is_at_any(c, at)]

    def find_meant_instead(self, negated: Sequence[Evidence]) -> Evidence | None:
        """The second name in "sorry not tom fern gwen hale please", both customers'."""
        for item in negated:
            words = item.value.split() if item.kind == "name" else []
            for n in range(2, len(words) - 1):
                said, meant = " ".join(words[:n]), " ".join(words[n:])
                if all(self._candidates.of(Identifiers(name=name)) for name in (said, meant)):
                    return replace(item, value=meant, alternatives=(), polarity="corrected")
        return None

    def is_identified(self, given: Sequence[Evidence]) -> bool:
        """Whether it holds an id, or a contact that no more than one customer has."""
        asked = [Identifiers(**{item.kind: item.value}) for item in given if item.kind != "name"]
        return any(who.customer_id or len(self._candidates.of(who)) < 2 for who in asked)

    def is_called(self, customer: Customer, name: Evidence) -> bool:
        if not facts.title_fits(customer, name.title):
            return False
        if customer.name is not None and any(name_fits(v, [customer.name]) for v in (name.value, *name.alternatives)):
            return True
        if "-" in name.value and set(normalise_name(name.value).split()) <= set(
            normalise_name(customer.name or "").split()
        ):
            return True  # "Anna-Lena" alone
        return bool(self._candidates.of(Identifiers(customer_id=customer.id, name=name.value)))

    def all_called(self, names: Sequence[Evidence], among: Customers) -> Customers:
        return among and tuple(c for c in among if all(self.is_called(c, name) for name in names))

    def another_called(self, name: Evidence, earlier: State) -> State:
        """ "The other Roe": not the present one."""
        now = {customer.id for customer in earlier.customers}
        found = self._candidates.of(Identifiers(name=name.value))
        others = tuple(customer for customer in found if customer.id not in now)
        if not others:
            return State("none", reason="unknown")
        return State(kind_of(others), others, "fits", pool=others, named=True)

    def called_only(self, customer: Customer, part: Evidence) -> State:
        """ "Pierre only", after Jean-Pierre Martin: Pierre Martin, if there is one."""
        name = normalise_name(f"{part.value} {(customer.name or '').rpartition(' ')[2]}")
        found = tuple(c for c in self._candidates.of(Identifiers(name=name)) if normalise_name(c.name or "") == name)
        return State("one", found, "fits", named=True) if len(found) == 1 else State("none", reason="unread")

    def is_ruled_out(self, customer: Customer, reading: Reading, names: Sequence[Evidence]) -> bool:
        """Whether the message denies this customer: "not Tom Fern", "not the one in Leeds"."""
        for item in reading.evidence:
            if item.polarity != "negated" or not item.value:
                continue
            if item.kind == "name":
                asserted = {normalise_name(name.value) for name in names}
                if normalise_name(item.value) not in asserted and self.is_called(customer, item):
                    return True
            elif item.kind in ("customer_id", "email", "phone"):
                denied = self._candidates.of(Identifiers(**{item.kind: item.value}))
                if any(customer.id == other.id for other in denied):
                    return True
            elif (item.kind == "date_of_birth" and facts.born_then(customer, item)) or (
                item.kind == "place" and facts.is_at_any(customer, item)
            ):
                return True
        return facts.denies_trait(reading.said, customer)

    def born(self, customer: Customer, born: Evidence) -> bool:
        """Whether the customer was born then: what the records show, else what the source says."""
        if not born.value:
            return False
        known = facts.births(customer)
        if (known and any(len(day) == 10 for day in known)) or len(born.value) < 10:
            return facts.born_then(customer, born)
        values = (born.value, *born.alternatives)
        return any(self._candidates.of(Identifiers(customer_id=customer.id, date_of_birth=value)) for value in values)
