"""Which customer a conversation is about: everything that was said must fit.

`resolve` is a pure function of what the messages say and of the customers that the source has for it. It goes back
from the latest message only as far as it must. Evidence that fits no customer never falls back to one spoken of
before: that would answer about the wrong person.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from tilores_core.chat.customer import facts, name_parts
from tilores_core.chat.customer.extraction import Reading
from tilores_core.chat.customer.matching import Matcher
from tilores_core.chat.customer.narrowing import Narrower, says_no_to, says_nothing
from tilores_core.chat.customer.state import (
    UNNAMED,
    Candidates,
    Customers,
    LookupNeeded,
    State,
    distinct_names,
    is_introduced,
    join_parts,
    with_joined_phone,
    without_particles,
    without_speaker,
)
from tilores_core.chat.customer.words import CONNECTING, GIVEN_NAMES, is_unknown, word_set
from tilores_core.contracts import Customer, Evidence, Identifiers, Strength
from tilores_core.identity import name_fits, normalise_name
from tilores_core.identity.names import generation_of
from tilores_core.spectrums import GENERAL

_MOST_NAMES = 4  # looked up in one message
_MOST_FAINT = 20  # look-ups of faint evidence in one resolution
_FEW_WORDS = 4
_BACK_TO: Final = word_set("to about again wieder nochmal zu über à a al naar para")
_FOR_NUMBER: Final = re.compile(r"\b(?:for|of|about|is|it's) #?\d{3,}\W*$")  # "sorry, the balance is for 1001"


class Resolver:
    """Finds the customer of a conversation, as far as `candidates` tells what the source knows.

    `readings` gives the same object each time. `spectrum` tells what a message is about; `region` is where phone
    numbers without a country code belong; `before` is the state before the last message, where `without_customers`
    has told it already.
    """

    def __init__(
        self,
        readings: Sequence[Reading],
        candidates: Candidates,
        *,
        spectrum: Callable[[int], str],
        region: str,
        before: State | None = None,
    ) -> None:
        self.candidates = candidates
        self.needed: Identifiers | None = None  # what the source must be asked for
        self._readings = readings
        self._match = Matcher(candidates)
        self._narrow = Narrower(self._match)
        self._spectrum = spectrum
        self._region = region
        self.before = before
        self._states: dict[int, State] = {} if before is None else {len(readings) - 2: before}
        self._borne_out: dict[int, bool] = {}  # by the identity of faint evidence

    def resolve(self) -> State | None:
        """The state after the last message; None while `candidates` lacks the customers that fit `needed`.

        Then add them and call it again: what was found before is not computed again.
        """
        try:
            return self.after(len(self._readings) - 1)
        except LookupNeeded as missing:
            self.needed = missing.identifiers
            return None

    def after(self, i: int) -> State:
        """The state after message `i`; each is found once."""
        if i < 0:
            return UNNAMED
        state = self._states.get(i)
        if state is None:
            state = self._states[i] = self._carry_on(i) or self._step(i, self._readings[i])
        return state

    def without_customers(self, i: int) -> tuple[State, tuple[Identifiers, ...]] | None:
        """The state after message `i`, and all identifiers looked up, which fit no customer of the source; None where
        some do."""
        state, absent = self._states.get(i), self.candidates.all_absent()
        return None if state is None or absent is None or len(self._borne_out) >= _MOST_FAINT else (state, absent)

    def _carry_on(self, i: int) -> State | None:
        """The state before message `i` where that says nothing of a customer; with several before, it may still tell
        them apart."""
        reading = self._readings[i]
        if not says_nothing(reading, but_no=True) or self._means_another(i, reading):
            return None
        before = self.after(i - 1)
        return self._recalled(i, reading) or (None if before.pool or len(before.customers) > 1 else before)

    def _step(self, i: int, reading: Reading) -> State:
        if reading.born and not all(item.value for item in reading.born):
            return State("none", reason="unread")
        asserted = [item for item in reading.found if item.polarity in ("asserted", "corrected")]
        if (relative := next(iter(reading.of_kind("relative")), None)) is not None:
            names = [item for item in asserted if item.kind == "name" and item.start > relative.start]
            names = names[relative.supplement :]  # "the wife of Tom Fern"
            if names and reading.said.low[: relative.start].endswith("my "):
                names = [item for item in asserted if item.kind == "name"]  # Ann Lee wrote "my brother Tom Fern"
            asserted = [item for item in asserted if item.kind != "name" or item in names]
            if not any(item.kind == "name" for item in asserted):
                return State("none", reason="relative")
        asserted = [item for item in without_speaker(asserted, reading.said) if not facts.is_ending(item)]
        if any(item.partial and item.kind == "phone" for item in asserted):
            found = (self._readings[j].found for j in range(i, -1, -1))
            asserted, joined = with_joined_phone(asserted, found, self._region)
            if joined is not None:
                return joined
        choices = reading.of_kind("choice")
        if choices and ((earlier := self.after(i - 1)).pool or len(earlier.customers) > 1):
            asserted = [
                e for e in asserted if e.kind != "customer_id" or len(e.value) > 2 or e.strength >= Strength.STRONG
            ]
        back = [c.value for c in choices if c.value in ("previous", "initial")]
        if back and not any(item.strength for item in asserted):
            return self._go_back(i, "initial" if "initial" in back else "previous")
        state = self._resolve_named(i, reading, asserted) if asserted else self._recalled(i, reading)
        return state if state is not None else self._without_name(i, reading)

    def _go_back(self, i: int, which: str) -> State:
        """ "Go back to the previous customer": the one before the present one, or the first of all."""
        history = self._history(i)
        if history and which == "initial":
            return State("one", (history[0],), "fits")
        if self.after(i - 1).kind == "one":
            history = history[:-1]
        return State("one", (history[-1],), "fits") if history else State("unnamed", reason="which")

    # --- a customer is identified --------------------------------------------------------------------------

    def _resolve_named(self, i: int, reading: Reading, asserted: Sequence[Evidence]) -> State | None:
        """The state when the message identifies a customer; None when it names no person after all."""
        sure = [item for item in asserted if item.strength]
        given = [*sure, *self._find_borne_out([item for item in asserted if not item.strength], sure)]
        partial = [item for item in given if item.kind == "name" and item.partial]
        given = [item for item in given if not (item.kind == "name" and item.partial)]
        names = distinct_names(item for item in given if item.kind == "name")
        if not given:
            return self._partly_named(i, reading, partial) if partial else self._strange(i, asserted)
        if len(names) > 1:
            return self._several_named(i, reading, names)
        if not any(item.kind != "name" for item in given) and partial:
            partial = [p for p in partial if not name_fits(p.value, [names[0].value])]
            if any(not p.strength and self._match.all_called([p], self._history(i)) for p in partial):
                return State("none", reason="two_people")  # "my last caller was Bo Lane, now Tom again"
            partial = [p for p in partial if p.strength or p.polarity == "corrected"]
        found, complete = self._match.fitting(given, partial, reading)
        if not found and names and (placed := self._match.find_at_place(given, names[0], reading.said)):
            found, complete = placed, True
        if not found:
            return self._unmatched(i, reading, given)
        left = [c for c in found if facts.fits_all(c, reading) and not self._match.is_ruled_out(c, reading, names)]
        left = [c for c in left if all(facts.title_fits(c, name.title) for name in (*names, *partial))]
        left = [c for c in left if all(facts.pronoun_fits(c, name, reading.said) for name in names)]
        if not names:  # "Gareth or Gwen?", behind a phone number
            partial = [p for p in partial if p.value.lower() in GIVEN_NAMES]
        if partial:
            left = [c for c in left if all(self._match.is_called(c, p) for p in partial)]
        if not left:
            return State("none", reason="contradiction", pending=reading.born)
        if names and not any(len(item.value) == 10 for item in reading.born):
            at_place = bool(reading.of_kind("place"))
            whole, turned = name_parts.choose_called(left, found, names[0], placed=at_place)
            if not whole and self._match.is_identified(given):
                whole = left
            elif not whole and not (earlier := self.after(i - 1)).named:
                whole = [c for c in left if earlier.customers == (c,)]
            if not whole:
                return State("none", (), "like_name", pool=tuple(left), outcome="several" if turned else None)
            left = whole
        namesakes = tuple(found) if names else ()
        before = self._found_before(i)
        return self._narrow.narrow_found(self.after(i - 1), before, reading, tuple(left), complete, given, namesakes)

    def _find_borne_out(self, faint: Sequence[Evidence], sure: Sequence[Evidence]) -> list[Evidence]:
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
            if id(item) not in self._borne_out:
                if tried > _MOST_NAMES or len(self._borne_out) >= _MOST_FAINT:
                    break
                self._borne_out[id(item)] = bool(self._match.fitting([item], (), None)[0])
            if self._borne_out[id(item)]:
                found.append(item)
        return found

    def _several_named(self, i: int, reading: Reading, names: Sequence[Evidence]) -> State | None:
        """More than one person is named: which of them is meant must be asked."""
        found: dict[str, Customer] = {}
        for name in names[:_MOST_NAMES]:
            found.update((customer.id, customer) for customer in self._match.fitting([name], (), None)[0])
        if not found:
            return self._unmatched(i, reading, names)
        if len(found) < 2:
            return State("none", reason="two_people")
        everyone = tuple(found.values())
        return State("several", everyone, "two_people", pool=everyone, named=True)

    def _partly_named(self, i: int, reading: Reading, partial: Sequence[Evidence]) -> State | None:
        """One word of a name: of a customer spoken of before, or not enough."""
        earlier = self.after(i - 1)
        among = earlier.customers or earlier.pool
        if any(reading.said.says_other(part.start) for part in partial):
            return self._match.another_called(partial[0], earlier)
        fitting = self._match.all_called(partial, earlier.customers) or self._match.all_called(partial, earlier.pool)
        if not fitting and (before := self._match.all_called(partial, self._history(i))):
            return State("one", before[-1:], "fits", named=True)
        if fitting:
            left = tuple(c for c in fitting if facts.fits_all(c, reading))
            if not left:
                return State("none", reason="contradiction")
            if left == earlier.customers and name_parts.is_less_than_named(left[0], partial, reading.said):
                return self._match.called_only(left[0], partial[0])
            if len(left) == 1:
                return replace(earlier, kind="one", customers=left, reason="fits", pool=earlier.pool or among)
            return self._narrow.choose(reading, replace(earlier, kind="several", customers=left, pool=left))
        denied = [e for e in reading.found if e.kind == "name" and e.partial and e.polarity == "negated"]
        if earlier.kind == "one" and denied and self._match.all_called(denied, earlier.customers):
            return self._match.called_only(earlier.customers[0], partial[0])  # "Gwen, not Gareth"
        for pick in partial[:_MOST_NAMES]:
            if not pick.strength and pick.value.lower() not in GIVEN_NAMES:
                if any(facts.has_field(c, pick.value) for c in among):
                    return None  # "what about arrears"
                continue
            who = Identifiers(name=pick.value)
            if found := self.candidates.of(who):
                left = tuple(c for c in found if facts.fits_all(c, reading))
                said = self._found_before(i)
                return self._narrow.narrow_found(earlier, said, reading, left, True, partial) if left else None
        if earlier.kind == "none" and (whole := join_parts(self._readings[i - 1].found, partial)) is not None:
            return self._resolve_named(i, reading, [whole])
        if among or any(item.strength for item in partial):
            return self._unmatched(i, reading, partial)
        return None

    def _history(self, i: int) -> Customers:
        """The customers of the messages before, in order, each once in a row."""
        history: list[Customer] = []
        for j in range(i) if self.before is None else ():
            state = self.after(j)
            if state.kind == "one" and (not history or history[-1].id != state.customers[0].id):
                history.append(state.customers[0])
        return tuple(history)

    def _unmatched(self, i: int, reading: Reading, given: Sequence[Evidence]) -> State | None:
        """What it means that no customer fits: an unknown one, or, where nothing is sure, another subject."""
        names = [item for item in given if item.kind == "name"]
        if len(names) == len(given):
            earlier = self.after(i - 1)
            among = earlier.customers if len(earlier.customers) > 1 else earlier.pool
            if among and all(facts.is_trait(among, without_particles(name.value)) for name in names):
                return None  # the answer to "which one?"
            if earlier.kind == "one" and name_parts.begins_with(earlier.customers[0], names[0].value):
                return (
                    earlier
                    if facts.fits_all(earlier.customers[0], reading)
                    else State("none", reason="contradiction")
                )
        sure = any(e.strength is Strength.STRONG or e.kind != "name" or e.polarity == "corrected" for e in given)
        if sure or reading.alone or reading.born or self._spectrum(i) != GENERAL:
            return State("none", reason="unknown")
        if reading.said.is_famous():
            return self.after(i - 1)
        return State("none", reason="general", outcome="unnamed")

    def _strange(self, i: int, asserted: Sequence[Evidence]) -> State | None:
        """Words in lower case that may be the name of an unknown person, after a customer: better ask."""
        if self._readings[i].of_kind("choice"):
            return None
        odd = [e for e in asserted if e.kind == "name" and not e.partial and e.value == e.value.lower()]
        odd = [e for e in odd if any(map(is_unknown, e.value.split()))]
        earlier = self.after(i - 1)
        odd = [e for e in odd if not facts.is_trait(earlier.customers, without_particles(e.value))]
        said = self._readings[i].said
        sure = self._spectrum(i) != GENERAL or self._readings[i].language != "en" or said.corrects()
        sure = sure or any(is_introduced(said.low, item.value) for item in odd)
        for item in odd:  # "anneliese", which could be "anne liese" as well
            whole = replace(item, value=item.value.replace(" ", ""), partial=True)
            if self._match.all_called([whole], earlier.customers or earlier.pool):
                return self._partly_named(i, self._readings[i], [whole])
        if odd and sure and earlier.kind != "unnamed":
            return State("none", reason="unknown")
        return None

    def _found_before(self, i: int) -> Sequence[Evidence]:
        return self._readings[i - 1].found if i else ()

    def _means_another(self, i: int, reading: Reading) -> bool:
        """ "I meant …", "the wrong Ann", or "No, 7 at the end", after an id or a phone number."""
        if "wrong" in reading.said.plain and facts.is_wrong(self.after(i - 1).customers, reading.said.low):
            return True
        if reading.said.means_another() or says_no_to(reading):
            return True
        at = reading.said.last_no()
        if at < 0 or _FOR_NUMBER.search(reading.said.low):
            return at >= 0
        before = self._found_before(i)
        numbered = any(item.kind != "name" for item in before)
        return numbered and any(word.isdecimal() for start, _, word in reading.said.places if start >= at)

    def _recalled(self, i: int, reading: Reading) -> State | None:
        """ "Back to Bill", or "and jan?", where the name of a customer of before is a word as well."""
        words = [word for word in reading.said.low.rstrip(" .?!").rsplit(None, 4)[-4:] if word != "the"]
        if len(words) < 2 or not (words[-2] in _BACK_TO or (len(words) == 2 and words[0] in CONNECTING)):
            return None
        before = self.after(i - 1)
        earlier = {customer.id for customer in before.customers}
        called = [
            customer
            for customer in (*before.pool, *self._history(i))
            if words[-1] in normalise_name(customer.name or "").split() and customer.id not in earlier
        ]
        sure = words[-2] == "to" and "back" in words
        if not called:
            return State("none", reason="which") if sure and is_unknown(words[-1]) else None
        return State("one", tuple(called[-1:]), "fits") if sure else State("none", reason="which")

    # --- no customer is identified ----------------------------------------------------------------------------

    def _without_name(self, i: int, reading: Reading) -> State:
        """A choice, a date of birth, a rejection, or a question that goes on about the same customer."""
        earlier = self.after(i - 1) if i else UNNAMED
        negated = [item for item in reading.found if item.polarity == "negated"]
        if negated and not reading.of_kind("rejection"):
            if (meant := self._match.find_meant_instead(negated)) is not None:
                return self._resolve_named(i, reading, [meant]) or earlier
            if (left := self._narrow.deny(earlier, reading)) is not None:
                return left
            if earlier.customers and any(item.kind == "name" for item in negated) and reading.said.corrects():
                return State("none", reason="unread")  # "sorry not marie banks john becker"
        if len(earlier.customers) > 1 and len(reading.said.plain) <= _FEW_WORDS:  # "it's a she"
            fitting = tuple(c for c in earlier.customers if facts.sex_fits(c, facts.sex_meant(reading)))
            if 0 < len(fitting) < len(earlier.customers):
                return self._narrow.keep_only(earlier, fitting)
        if earlier.kind == "one" and not facts.sex_fits(earlier.customers[0], sex := facts.sex_meant(reading)):
            before = tuple(c for c in self._history(i) if facts.sex_fits(c, sex))
            return State("one", before[-1:], "fits") if before else State("none", reason="contradiction")
        if earlier.kind == "one" and facts.denies_part(earlier.customers[0], reading.said):
            return State("none", reason="unread")
        if earlier.kind == "one" and (other := facts.other_generation(earlier.customers[0], reading.said)):
            fitting = tuple(c for c in earlier.pool if generation_of(c.name or "") == other)
            if fitting or generation_of(earlier.customers[0].name or ""):
                return self._narrow.keep_only(earlier, fitting)
        if not earlier.customers and not earlier.pool:
            born = tuple(item for item in reading.born if item.polarity != "negated")
            return replace(earlier, pending=born) if born else earlier
        if earlier.customers and any(map(facts.unmarked_days, reading.evidence)):
            fitting = tuple(c for c in earlier.customers if facts.fits_all(c, reading))
            return self._narrow.keep_only(earlier, fitting)
        if earlier.outcome == "several" and reading.said.confirms():
            return State("one", earlier.pool, "fits", named=True)
        choice = next((c for c in reading.of_kind("choice") if c.value not in ("previous", "initial")), None)
        if choice is not None:
            return self._narrow.choice(earlier, reading, choice)
        if reading.of_kind("rejection"):
            return self._narrow.reject(earlier, reading.said)
        state = self._narrow.choose(reading, earlier)
        number = reading.said.lone_number
        if state == earlier and earlier.kind == "one" and len(number) > 1 and not reading.dates:
            return state if facts.has_number(earlier.customers[0], number) else State("none", reason="unread")
        if self._means_another(i, reading) and state.customers == earlier.customers and earlier.kind == "one":
            return State("none", reason="unread")  # what was meant was not understood
        return state
