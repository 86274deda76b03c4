"""Which of several customers is meant: by what a reply rules out, chooses or describes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from tilores_core.chat.customer import facts
from tilores_core.chat.customer.choices import is_offer, match_description, pick_at
from tilores_core.chat.customer.extraction import Reading
from tilores_core.chat.customer.matching import Matcher
from tilores_core.chat.customer.name_parts import parts_fit
from tilores_core.chat.customer.said import CHOOSING, COMPARATIVES, Said
from tilores_core.chat.customer.state import Customers, State, kind_of
from tilores_core.chat.customer.words import COMMON, alternation, cue_phrases, vocabulary, words_in_any
from tilores_core.contracts import Evidence
from tilores_core.identity import normalise_name
from tilores_core.spectrums import GENERAL, classify

_BARE: Final = words_in_any("choosing").union(
    words_in_any("number"),
    words_in_any("owner"),
    words_in_any("phone_words"),
    vocabulary("en").courtesies,
    ("confirm", "confirming", "verify", "check", "matches", "caller", "id", "shows", "says", "gave"),
) - {"and", "what", "how"}  # beside an identifier that says nothing else
_FEW_BEHIND_NO: Final = 5  # words
_ONE: Final = words_in_any("one")
_SWITCH: Final = re.compile(rf"(?<![^\W_])(?:{alternation(cue_phrases('switch'))})(?![^\W_])")


class Narrower:
    """Goes on from the state before a message that names no customer."""

    def __init__(self, match: Matcher) -> None:
        self._match = match

    def narrow_found(
        self,
        earlier: State,
        before: Sequence[Evidence],
        reading: Reading,
        found: Customers,
        complete: bool,
        given: Sequence[Evidence],
        namesakes: Customers = (),
    ) -> State:
        """The customers that fit what a message identifies (`given`), with what it says of their traits and with the
        state before it; `before`: what the message before identified. Not `complete`: there may be more.
        `namesakes`: all from which `found` were chosen."""
        named = any(item.kind == "name" for item in given)
        known = {customer.id for customer in earlier.customers}
        both = any(customer.id in known for customer in found)
        choice = next((c for c in reading.of_kind("choice")), None)
        other = any(item.kind == "name" and reading.said.says_other(item.start) for item in given)
        if other or (choice is not None and choice.value == "other"):
            found = tuple(customer for customer in found if customer.id not in known)
            if not found:
                return State("none", reason="unknown")
        elif choice is not None and choice.value in ("older", "younger") and len(found) > 1:
            chosen = pick_at(found, choice.value, shown=False, comparative=is_comparative(reading, choice))
            found = (chosen,) if chosen else found
        faint = all(item.kind in ("phone", "email") and not item.strength for item in given)  # "call him back on"
        if not both and ((known and faint) or _completes(reading, given, earlier, before)):
            return State("none", reason="contradiction")  # "Ann Lee", then another customer's phone number
        contacts = all(item.kind in ("phone", "email") for item in given)
        if known and not both and contacts and reading.refers_back:
            return State("none", reason="contradiction")  # "she called from", which is another customer's number
        if earlier.kind == "none" and contacts and any(item.supplement for item in given):
            unknown = [
                item for item in before if item.kind == "name" and item.strength and item.polarity != "negated"
            ]
            found = tuple(c for c in found if all(self._match.is_called(c, name) for name in unknown))
            if not found:
                return State("none", reason="contradiction")  # "Zelda Fitz", then "her phone number is"
        if any(item.supplement for item in given) and known and not (earlier.named and named):
            found = tuple(customer for customer in found if customer.id in known)
            if not found:
                return State("none", reason="contradiction")
        if earlier.pending and not reading.born:
            fitting = tuple(c for c in found if all(self._match.born(c, born) for born in earlier.pending))
            if not fitting:
                return State("none", reason="contradiction")
            found = fitting
        if len(found) == 1:
            if len(namesakes) > 1 and not any(customer.id == found[0].id for customer in earlier.pool):
                return State("one", found, "fits", complete, pool=namesakes, named=named)
            pool = earlier.pool if found[0].id in {c.id for c in earlier.pool} else ()
            return State("one", found, "fits", pool=pool, offered=earlier.offered, named=named)
        pool = found
        found = self.born_on_any(found, reading) or found
        if complete:
            found = tuple(match_description(found, reading.said))
        said = {normalise_name(item.value) for item in given if item.kind == "name"}
        exact = {customer.id for customer in found if normalise_name(customer.name or "") in said}
        only = any(reading.said.is_only(item.start, item.end) for item in given)
        if len(found) > 1 and not only and (exact & known or not exact):
            found = tuple(customer for customer in found if customer.id in known) or found
        return State(kind_of(found), found, "fits", complete, pool=pool, named=named)

    def born_on_any(self, among: Customers, reading: Reading) -> Customers:
        days = [Evidence(kind="date_of_birth", value=day) for day in reading.dates]
        return tuple(c for c in among if any(self._match.born(c, day) for day in days))

    def deny(self, earlier: State, reading: Reading) -> State | None:
        """ "Not Tom Fern": when he is the customer so far, there is none now."""
        left = tuple(c for c in earlier.customers if not self._match.is_ruled_out(c, reading, ()))
        if not earlier.customers or len(left) == len(earlier.customers):
            return None
        if not left:
            return State("unnamed", reason="rejected")
        return replace(earlier, kind=kind_of(left), customers=left)

    def keep_only(self, earlier: State, left: Customers) -> State:
        """The state before, of whose customers `left` are left."""
        if not left:
            return State("none", reason="contradiction")
        return replace(earlier, kind=kind_of(left), customers=left)

    def reject(self, earlier: State, said: Said) -> State:
        """ "Wrong person": of a longer list the rest is left, or the one that the message describes."""
        if earlier.kind != "one":
            return State("none", reason="rejected")
        meant = tuple(match_description(earlier.pool, said))
        if len(meant) == 1 and meant != earlier.customers:
            return replace(earlier, customers=meant)
        rest = tuple(c for c in earlier.pool if c.id != earlier.customers[0].id)
        if len(rest) > 1:
            return replace(earlier, kind="several", customers=rest, pool=rest, reason="rejected")
        return State("unnamed", reason="rejected", pool=earlier.pool)

    def choice(self, earlier: State, reading: Reading, choice: Evidence) -> State:
        offered = earlier.customers if earlier.kind == "several" else earlier.pool
        shown = is_offer(reading.asked, offered) if earlier.kind == "several" else earlier.offered
        if choice.value == "other":
            if earlier.kind == "several":
                return earlier
            now = {customer.id for customer in earlier.customers}
            rest = tuple(customer for customer in earlier.pool if customer.id not in now)
            if not rest or not now:
                return State("unnamed", reason="which")
            return replace(earlier, kind=kind_of(rest), customers=rest, reason="fits")
        chosen = pick_at(offered, choice.value, shown=shown, comparative=is_comparative(reading, choice))
        if chosen is None:
            return earlier if earlier.kind == "several" else State("unnamed", reason="which", pool=earlier.pool)
        if choice.polarity == "negated":
            left = tuple(customer for customer in offered if customer.id != chosen.id)
            return replace(earlier, kind=kind_of(left), customers=left, pool=offered)
        return replace(
            earlier, kind="one", customers=(chosen,), pool=offered, offered=shown or earlier.offered, reason="fits"
        )

    def choose(self, reading: Reading, earlier: State) -> State:
        """Those that a description leaves: "born 1952", "the one in Derby", "not the one in Leeds"."""
        among = earlier.customers or earlier.pool
        if len(earlier.customers) == 1 and len(earlier.pool) > 1 and _may_choose_again(reading, earlier):
            among = earlier.pool
        elif len(earlier.customers) == 1 and not reading.said.negated and _says_only_trait(reading.said, earlier):
            return State("none", reason="contradiction", pool=earlier.pool)  # "Ann Lee born 1970", "Derby"
        born = tuple(item for item in reading.born if item.polarity != "negated")
        left = tuple(c for c in among if all(self._match.born(c, item) for item in born))
        left = tuple(c for c in left if facts.ends_fit(c, reading) and parts_fit(c, reading))
        if not left:
            return State("none", reason="contradiction", pending=born)
        places = [e for e in reading.of_kind("place") if e.polarity != "negated"]
        there = tuple(c for c in left if all(facts.is_at_any(c, place) for place in places))
        if not there:
            whole = tuple(c for c in earlier.pool if all(facts.is_at_any(c, place) for place in places))
            if earlier.kind == "several":
                return earlier
            if not whole:
                return State("none", reason="contradiction")
            there = whole
        left = tuple(c for c in there if not self._match.is_ruled_out(c, reading, ()))
        if not left:
            return State("none" if earlier.kind == "several" else "unnamed", reason="rejected", pool=earlier.pool)
        if not born and len(left) > 1:
            left = self.born_on_any(left, reading) or left
        if len(left) > 1 and earlier.complete:
            told = tuple(match_description(left, reading.said))
            if len(told) == len(left) == len(among) and among is not earlier.customers:
                return earlier if earlier.customers else replace(earlier, kind="unnamed")
            left = told
        if not earlier.customers:
            changed = len(left) < len(among) or (earlier.reason == "like_name" and bool(born))
            return replace(earlier, kind=kind_of(left), customers=left, outcome=None) if changed else earlier
        shown = earlier.offered or (earlier.kind == "several" and is_offer(reading.asked, earlier.customers))
        pool = earlier.pool if len(earlier.pool) > 1 else among if len(among) > 1 else ()
        return replace(earlier, kind=kind_of(left), customers=left, pool=pool, offered=shown, reason="fits")


def _may_choose_again(reading: Reading, earlier: State) -> bool:
    """Whether a message takes the choice back: "no, Derby", "not York"."""
    said = reading.said
    if said.corrects() or any(e.kind == "date_of_birth" and e.polarity == "negated" for e in reading.evidence):
        return True
    if said.is_short() and facts.denies_trait(said, earlier.customers[0]):
        return True
    return not _ONE.isdisjoint(said.words) and _says_only_trait(said, earlier)  # "the one in Derby"


def _says_only_trait(said: Said, earlier: State) -> bool:
    """Whether it says no more than a trait of one that was not chosen."""
    if len(earlier.pool) < 2 or not said.is_short():
        return False
    telling = " ".join(word for word in said.words if word not in CHOOSING)
    return bool(telling) and facts.is_trait(earlier.pool, telling) and not facts.is_trait(earlier.customers, telling)


def says_nothing(reading: Reading, *, but_no: bool = False) -> bool:
    """Whether a message leaves the state as it is; with `but_no` one that may say "no" to a number before, too."""
    said = reading.said
    return not (
        reading.evidence
        or reading.dates
        or (said.may_deny and (said.means_another() or (not but_no and said.last_no() >= 0)))
        or facts.says_trait(reading)
    )


def says_no_to(reading: Reading) -> bool:
    """ "No, London", "sorry dias", "no, d i a s": behind a "no" a word with a capital; where no subject is named an
    unknown one or letters, too."""
    at = reading.said.last_no() if reading.said.corrects() else -1
    if at < 0:
        return False
    text, never = reading.said.text, vocabulary(reading.language).never
    behind = [(text[start:end], word) for start, end, word in reading.said.places if start >= at]
    if any(said[0].isupper() and not said.isupper() and word not in never for said, word in behind):
        return True
    odd = [word for _, word in behind if word not in COMMON and word not in CHOOSING and not word.isdecimal()]
    letters = sum(len(word) == 1 for _, word in behind)
    few = 0 < len(behind) <= _FEW_BEHIND_NO and (letters > 2 or any(len(word) > 1 for word in odd))
    return few and classify(reading.text) == GENERAL


def is_comparative(reading: Reading, choice: Evidence) -> bool:
    return not COMPARATIVES.isdisjoint(reading.said.words) and choice.value in ("older", "younger")


def _completes(reading: Reading, given: Sequence[Evidence], earlier: State, before: Sequence[Evidence]) -> bool:
    """Whether a message that holds only an identifier belongs to what was said just before: a phone number after a
    name, a name after a phone number. With anything else it begins a question about another customer."""
    named = any(item.kind == "name" for item in given)
    speaker = any(item.speaker for item in given)
    if earlier.kind == "several" and earlier.named and not named:
        if not any(item.kind == "customer_id" for item in given):
            return True
    elif earlier.kind == "one" and earlier.named and all(item.kind in ("phone", "email") for item in given):
        if any(item.polarity == "corrected" for item in given) or reading.said.corrects():
            return False
    else:
        alone = all(item.kind == "name" for item in given) and not earlier.named
        if earlier.kind != "one" or not alone or not any(item.kind in ("phone", "email") for item in before):
            return False
    said = reading.said
    if _SWITCH.search(said.low):
        return False
    taken = [(item.start, item.end) for item in reading.found]
    rest = [word for start, end, word in said.places if not any(a < end and start < b for a, b in taken)]
    allowed = _BARE if speaker or not named else _BARE - {"for", "customer", "client"}
    return all(word in allowed or (speaker and word == "and") for word in rest)
