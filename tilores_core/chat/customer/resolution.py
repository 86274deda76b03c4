"""Which customer a conversation is about: everything that was said must fit.

`resolve` is a pure function of what the messages say and of the customers that the source has for it. It goes back
from the latest message only as far as it must. Evidence that fits no customer never falls back to one spoken of
before: that would answer about the wrong person.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from tilores_core.chat.customer import facts
from tilores_core.chat.customer.choices import described, is_offer, picked
from tilores_core.chat.customer.extraction import Reading
from tilores_core.chat.customer.matching import Matcher
from tilores_core.chat.customer.state import (
    UNNAMED,
    Candidates,
    Customers,
    LookupNeeded,
    Reason,
    State,
    contains,
    distinct_names,
    without_speaker,
)
from tilores_core.contracts import Customer, CustomerKind, Evidence, Identifiers, Strength
from tilores_core.identity import normalise_phone
from tilores_core.spectrums import GENERAL

_MOST_NAMES = 4  # looked up in one message
_MOST_FAINT = 20  # look-ups of faint evidence in one resolution
_ASKS_FOR: Final = frozenset(("there", "have", "know", "find", "got", "named", "called", "see"))
_MOST_PARTS = 4  # messages that a phone number is said over


__all__ = ["UNNAMED", "Candidates", "LookupNeeded", "Reason", "State", "resolve"]


def resolve(
    readings: Sequence[Reading], candidates: Candidates, *, spectrum: Callable[[int], str], region: str
) -> State:
    """The state after the last message.

    `spectrum` tells what a message is about; `region` is where phone numbers without a country code belong. Raises
    `LookupNeeded` as long as `candidates` lacks an answer of the source.
    """
    return _Resolver(readings, candidates, spectrum, region).after(len(readings) - 1)


class _Resolver:
    def __init__(
        self, readings: Sequence[Reading], candidates: Candidates, spectrum: Callable[[int], str], region: str
    ) -> None:
        self._readings = readings
        self._candidates = candidates
        self._match = Matcher(candidates)
        self._spectrum = spectrum
        self._region = region
        self._states: dict[int, State] = {}
        self._faint = 0

    def after(self, i: int) -> State:
        """The state after message `i`."""
        while i >= 0 and not self._readings[i].evidence and not self._readings[i].dates:
            if self._readings[i].said.means_another() or self._may_choose(i):
                break
            i -= 1
        if i < 0:
            return UNNAMED
        if i not in self._states:
            self._states[i] = self._step(i, self._readings[i])
        return self._states[i]

    def _may_choose(self, i: int) -> bool:
        """Whether a message without evidence may still tell namesakes apart: there were several before."""
        return i > 0 and bool(self.after(i - 1).pool or len(self.after(i - 1).customers) > 1)

    # --- one message -------------------------------------------------------------------------------------

    def _step(self, i: int, reading: Reading) -> State:
        if any(not item.value for item in reading.born):
            return State("none", reason="unread")
        asserted = [item for item in reading.found if item.polarity in ("asserted", "corrected")]
        if (relative := next(iter(reading.of_kind("relative")), None)) is not None:
            asserted = [item for item in asserted if item.kind != "name" or item.start > relative.start]
            if not any(item.kind == "name" for item in asserted):
                return State("none", reason="relative")
        asserted = without_speaker(asserted)
        if any(item.partial and item.kind == "phone" for item in asserted):
            asserted, joined = self._with_joined_phone(i, asserted)
            if joined is not None:
                return joined
        choices = reading.of_kind("choice")
        if not any(item.strength for item in asserted) and any(c.value in ("previous", "initial") for c in choices):
            return self._gone_back(i, "initial" if any(c.value == "initial" for c in choices) else "previous")
        state = self._named(i, reading, asserted) if asserted else None
        return state if state is not None else self._without_name(i, reading)

    def _with_joined_phone(self, i: int, asserted: list[Evidence]) -> tuple[list[Evidence], State | None]:
        """A phone number that is said over several messages: its parts as one number."""
        parts: list[str] = []
        certain = False
        for j in range(i, max(-1, i - _MOST_PARTS), -1):
            said = [item for item in self._readings[j].found if item.kind == "phone" and item.partial]
            if not said:
                break
            parts.insert(0, said[0].value)
            certain = certain or said[0].strength > Strength.FAINT
            number = normalise_phone("".join(parts), self._region) if certain and len(parts) > 1 else None
            if number is not None:
                whole = Evidence(kind="phone", value=number, start=said[0].start, end=said[0].end)
                return [*(item for item in asserted if not item.partial or item.kind != "phone"), whole], None
        rest = [item for item in asserted if not item.partial or item.kind != "phone"]
        return rest, (State("none", reason="incomplete") if certain else None)

    def _gone_back(self, i: int, which: str) -> State:
        """ "Go back to the previous customer": the one before the present one, or the first of all."""
        history: list[Customer] = []
        for j in range(i):
            state = self.after(j)
            if state.kind == "one" and (not history or history[-1].id != state.customers[0].id):
                history.append(state.customers[0])
        if history and which == "initial":
            return State("one", (history[0],), "fits")
        if self.after(i - 1).kind == "one":
            history = history[:-1]
        return State("one", (history[-1],), "fits") if history else State("unnamed", reason="which")

    # --- somebody is identified --------------------------------------------------------------------------

    def _named(self, i: int, reading: Reading, asserted: Sequence[Evidence]) -> State | None:
        """The state when the message identifies a customer; None when it names no person after all."""
        sure = [item for item in asserted if item.strength]
        given = [*sure, *self._borne_out([item for item in asserted if not item.strength], sure)]
        partial = [item for item in given if item.kind == "name" and item.partial]
        given = [item for item in given if not (item.kind == "name" and item.partial)]
        names = distinct_names(item for item in given if item.kind == "name")
        if not given:
            return self._partly_named(i, reading, partial) if partial else self._strange(i, asserted)
        if len(names) > 1:
            return self._several_named(i, reading, names)
        if not any(item.kind != "name" for item in given) and partial:
            partial = [p for p in partial if p.strength and not contains(names[0], p)]
        found, complete = self._match.fitting(given, partial, reading)
        if not found:
            return self._nobody(i, reading, given)
        left = [c for c in found if facts.fits_all(c, reading, names)]
        left = [c for c in left if not self._match.is_ruled_out(c, reading, names)]
        if names and partial:
            left = [c for c in left if all(self._match.is_called(c, p) for p in partial)]
        if not left:
            return State("none", reason="contradiction", pending=reading.born)
        return self._narrowed(i, reading, tuple(left), complete, given, named=bool(names))

    def _borne_out(self, faint: Sequence[Evidence], sure: Sequence[Evidence]) -> list[Evidence]:
        """The faint evidence that fits a customer."""
        found = []
        tried = 0
        for item in faint:
            if item.kind in ("email", "phone") and sure:
                continue  # where mail is sent, a number that is to be changed to
            if item.kind == "name" and item.partial:
                found.append(item)
                continue
            tried += 1
            self._faint += 1
            if tried > _MOST_NAMES or self._faint > _MOST_FAINT:
                break
            if self._match.fitting([item], (), None)[0]:
                found.append(item)
        return found

    def _several_named(self, i: int, reading: Reading, names: Sequence[Evidence]) -> State | None:
        """More than one person is named: which of them is meant must be asked."""
        found: dict[str, Customer] = {}
        for name in names[:_MOST_NAMES]:
            found.update((customer.id, customer) for customer in self._match.fitting([name], (), None)[0])
        if not found:
            return self._nobody(i, reading, names)
        if len(found) < 2:
            return State("none", reason="two_people")
        everyone = tuple(found.values())
        return State("several", everyone, "two_people", pool=everyone, named=True)

    def _partly_named(self, i: int, reading: Reading, partial: Sequence[Evidence]) -> State | None:
        """One word of a name: of a customer spoken of before, or not enough."""
        earlier = self.after(i - 1)
        among = earlier.customers or earlier.pool
        fitting = tuple(c for c in among if all(self._match.is_called(c, p) for p in partial))
        if fitting:
            left = tuple(c for c in fitting if facts.fits_all(c, reading, ()))
            if not left:
                return State("none", reason="contradiction")
            if len(left) == 1:
                return replace(earlier, kind="one", customers=left, reason="fits", pool=earlier.pool or among)
            return self._chosen(i, reading, replace(earlier, kind="several", customers=left, pool=left))
        for pick in partial[:_MOST_NAMES]:
            who = Identifiers(name=pick.value)
            if found := self._candidates.of(who):
                left = tuple(c for c in found if facts.fits_all(c, reading, ()))
                return self._narrowed(i, reading, left, True, partial, named=True) if left else None
        if among or any(item.strength for item in partial):
            return self._nobody(i, reading, partial)
        return None

    def _nobody(self, i: int, reading: Reading, given: Sequence[Evidence]) -> State | None:
        """What it means that no customer fits: an unknown one, or, where nothing is sure, another subject."""
        names = [item for item in given if item.kind == "name"]
        if len(names) == len(given):
            earlier = self.after(i - 1)
            among = earlier.customers if len(earlier.customers) > 1 else earlier.pool
            if among and all(facts.is_trait(among, name.value) for name in names):
                return None  # the answer to "which one?"
        if any(item.strength is Strength.STRONG or item.kind != "name" for item in given):
            return State("none", reason="unknown")
        if reading.alone or reading.born or any(item.polarity == "corrected" for item in given):
            return State("none", reason="unknown")
        if self._spectrum(i) != GENERAL:
            return State("none", reason="unknown")
        if reading.said.is_famous():
            return self.after(i - 1)
        return State("none", reason="general", outcome="unnamed")

    def _strange(self, i: int, asserted: Sequence[Evidence]) -> State | None:
        """Words in lower case that may be the name of an unknown person, after a customer: better ask."""
        if self._readings[i].of_kind("choice"):
            return None
        odd = [item for item in asserted if item.kind == "name" and not item.partial and item.value.islower()]
        said = self._readings[i].said
        sure = self._spectrum(i) != GENERAL or self._readings[i].language != "en" or said.corrects()
        sure = sure or any(_introduced(said.low, item.value) for item in odd)
        if odd and sure and self.after(i - 1).kind != "unnamed":
            return State("none", reason="unknown")
        return None

    # --- several -----------------------------------------------------------------------------------------

    def _narrowed(
        self, i: int, reading: Reading, found: Customers, complete: bool, given: Sequence[Evidence], *, named: bool
    ) -> State:
        """`found` with what the messages before say of them, and with what this one says of their traits."""
        earlier = self.after(i - 1) if i else UNNAMED
        before = {customer.id for customer in earlier.customers}
        both = tuple(customer for customer in found if customer.id in before)
        if any(item.supplement for item in given) and before and not (earlier.named and named):
            if not both:
                return State("none", reason="contradiction")
            found = both
        if earlier.pending and not reading.born:
            fitting = tuple(c for c in found if all(self._match.born(c, born) for born in earlier.pending))
            if not fitting:
                return State("none", reason="contradiction")
            found = fitting
        if len(found) == 1:
            pool = earlier.pool if found[0].id in {c.id for c in earlier.pool} else ()
            return State("one", found, "fits", pool=pool, offered=earlier.offered, named=named)
        pool = found
        for day in reading.dates:
            fitting = tuple(c for c in found if self._match.born(c, Evidence(kind="date_of_birth", value=day)))
            found = fitting or found
        if complete:
            found = tuple(described(found, reading.said, corrects=False))
        if len(found) > 1:
            found = tuple(customer for customer in found if customer.id in before) or found
        kind: CustomerKind = "one" if len(found) == 1 else "several"
        return State(kind, found, "fits", complete, pool=pool, named=named)

    # --- nobody is identified ----------------------------------------------------------------------------

    def _without_name(self, i: int, reading: Reading) -> State:
        """A choice, a date of birth, a rejection, or a question that goes on about the same customer."""
        earlier = self.after(i - 1) if i else UNNAMED
        negated = [item for item in reading.found if item.polarity == "negated"]
        if negated and not reading.of_kind("rejection"):
            if (left := self._denied(earlier, reading)) is not None:
                return left
            if earlier.customers and any(item.kind == "name" for item in negated) and reading.said.corrects():
                return State("none", reason="unread")  # "sorry not marie banks john becker"
        if not earlier.customers and not earlier.pool:
            born = tuple(item for item in reading.born if item.polarity != "negated")
            return replace(earlier, pending=born) if born else earlier
        choice = next((c for c in reading.of_kind("choice") if c.value not in ("previous", "initial")), None)
        if choice is not None:
            return self._choice(earlier, reading, choice)
        if reading.of_kind("rejection"):
            return self._rejected(earlier)
        state = self._chosen(i, reading, earlier)
        if reading.said.means_another() and state.customers == earlier.customers and earlier.kind == "one":
            return State("none", reason="unread")  # what was meant was not understood
        return state

    def _denied(self, earlier: State, reading: Reading) -> State | None:
        """ "Not Tom Fern": when he is the customer so far, there is none now."""
        left = tuple(c for c in earlier.customers if not self._match.is_ruled_out(c, reading, ()))
        if not earlier.customers or len(left) == len(earlier.customers):
            return None
        if not left:
            return State("unnamed", reason="rejected")
        return replace(earlier, kind="one" if len(left) == 1 else "several", customers=left)

    def _rejected(self, earlier: State) -> State:
        """ "Wrong person": of a longer list the rest is left."""
        if earlier.kind != "one":
            return State("none", reason="rejected")
        rest = tuple(c for c in earlier.pool if c.id != earlier.customers[0].id)
        if len(rest) > 1:
            return replace(earlier, kind="several", customers=rest, pool=rest, reason="rejected")
        return State("unnamed", reason="rejected", pool=earlier.pool)

    def _choice(self, earlier: State, reading: Reading, choice: Evidence) -> State:
        offered = earlier.customers if earlier.kind == "several" else earlier.pool
        shown = is_offer(reading.asked, offered) if earlier.kind == "several" else earlier.offered
        if choice.value == "other":
            if earlier.kind == "several":
                return earlier
            now = {customer.id for customer in earlier.customers}
            rest = tuple(customer for customer in earlier.pool if customer.id not in now)
            if not rest or not now:
                return State("unnamed", reason="which")
            kind: CustomerKind = "one" if len(rest) == 1 else "several"
            return replace(earlier, kind=kind, customers=rest, reason="fits")
        chosen = picked(offered, choice.value, shown=shown)
        if chosen is None:
            return earlier if earlier.kind == "several" else State("unnamed", reason="which", pool=earlier.pool)
        if choice.polarity == "negated":
            left = tuple(customer for customer in offered if customer.id != chosen.id)
            return replace(earlier, kind="one" if len(left) == 1 else "several", customers=left, pool=offered)
        return replace(
            earlier, kind="one", customers=(chosen,), pool=offered, offered=shown or earlier.offered, reason="fits"
        )

    def _chosen(self, i: int, reading: Reading, earlier: State) -> State:
        """Those that a description leaves: "born 1952", "the one in Derby", "not the one in Leeds"."""
        corrects = reading.said.corrects()
        among = earlier.customers or earlier.pool
        if len(earlier.customers) == 1 and corrects and len(earlier.pool) > 1:
            among = earlier.pool
        born = tuple(item for item in reading.born if item.polarity != "negated")
        left = tuple(c for c in among if all(self._match.born(c, item) for item in born))
        if not left:
            return State("none", reason="contradiction", pending=born)
        places = [e for e in reading.of_kind("place") if e.polarity != "negated"]
        there = tuple(c for c in left if all(facts.is_at(c, place.value) for place in places))
        if not there:
            whole = tuple(c for c in earlier.pool if all(facts.is_at(c, place.value) for place in places))
            if earlier.kind == "several":
                return earlier
            if not whole:
                return State("none", reason="contradiction")
            there = whole
        left = tuple(c for c in there if not self._match.is_ruled_out(c, reading, ()))
        if not left:
            return State("none" if earlier.kind == "several" else "unnamed", reason="rejected", pool=earlier.pool)
        if not born and len(left) > 1:
            for day in reading.dates:
                exact = tuple(c for c in left if self._match.born(c, Evidence(kind="date_of_birth", value=day)))
                left = exact or left
        if len(left) > 1 and earlier.complete:
            told = tuple(described(left, reading.said, corrects=corrects))
            if len(told) == len(left) and among is not earlier.customers:
                return earlier if earlier.customers else replace(earlier, kind="unnamed")
            left = told
        if not earlier.customers:
            changed = len(left) < len(among)
            return (
                replace(earlier, kind="one" if len(left) == 1 else "several", customers=left) if changed else earlier
            )
        shown = earlier.offered or (earlier.kind == "several" and is_offer(reading.asked, earlier.customers))
        pool = earlier.pool if len(earlier.pool) > 1 else among if len(among) > 1 else ()
        kind: CustomerKind = "one" if len(left) == 1 else "several"
        return replace(earlier, kind=kind, customers=left, pool=pool, offered=shown, reason="fits")


def _introduced(text: str, name: str) -> bool:
    """Whether the message is little more than the name, or asks whether there is such a customer."""
    if len(text.split()) <= len(name.split()) + 2:
        return True
    before, _, _ = text.partition(name.lower())
    return bool(_ASKS_FOR.intersection(before.split()[-4:]))
