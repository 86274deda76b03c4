"""What a message says of the parts of a name: how they are spelt, which is the family name, which one is left out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from tilores_core.chat.customer.extraction import Reading
from tilores_core.chat.customer.said import ONLY, Said
from tilores_core.chat.customer.spans import PREFIXES
from tilores_core.chat.customer.words import (
    GIVEN_NAMES,
    PARTICLES,
    RELATIONS,
    Phrases,
    all_phrases,
    alternation,
    is_unknown,
    keywords,
    words_in_any,
)
from tilores_core.contracts import Customer, Evidence
from tilores_core.identity import name_fits, normalise_name
from tilores_core.identity.names import GENERATIONS, fold, generation_of, name_words

_WITH: Final = "with|mit|avec|con|met|com"
_WITHOUT: Final = "without|no|ohne|sans|sin|senza|zonder|sem"
_TWICE: Final = ("two", "double", "zwei", "doppel", "deux", "dos", "due", "twee", "dois")
NOT_LETTER = re.compile(r"[\W\d_]+")
SHORT_MESSAGE: Final = 6  # words
PARTS: Final = (all_phrases("first_name"), all_phrases("last_name"))
_NAMING: Final = re.compile("name|nom|naam|middle|alias|known")
_SAID_FIRST: Final = words_in_any("family_first")
SPELLING: Final = keywords((*_WITH.split("|"), *_WITHOUT.split("|"), "end", "front", "start", "double", "doppel"))
_SPELT = re.compile(
    rf"(?:(?<!\w)(?!(?:{_WITHOUT}|not)\b)(?P<name>[^\W\d_]+) )?(?:(?P<with>{_WITH}|{_WITHOUT}) "
    rf"(?:(?P<how>an?|one|the|einem|{'|'.join(_TWICE)}) )?"
    r"(?!us\b)(?P<letter>[a-z]|[cgpst]h|ck|ll|mm|nn|rr|ss|tt)(?:['’]?s)?(?=[.,;?!]|$| instead| not)|"
    r"(?:double|doppel)[ -](?P<pair>[a-z])(?=[.,;?!]|$)|"
    rf"(?P<none>(?:{_WITHOUT}|not) (?:an? )?)?(?<![^\W_])(?P<end>[a-z]) "
    r"(?P<at>at the end|in front|at the (?:front|start|beginning)))"
)
_ENDS_IN: Final = re.compile(
    r"^(?:(?:no|sorry|but|and|it|that|this|the|id|number|should)[, ]+)*(?:ends?|ending) (?:(?:in|with|on) )?"
    r"(?:an? )?(?P<digits>\d{1,4})\b|last (?:\w+ )?digits? (?:(?:is|are|should be|was|were) )?(?P<last>\d{1,4})\b|"
    r"\b(?:swap|swapped|transposed|mixed)\b.* digits\b"
)
_OTHER_NUMBERS: Final = words_in_any("other_numbers")
_ENDING_WORDS: Final = keywords(("end", "ends", "ending", "digit", "digits"))
_LEFT_OUT: Final = re.compile(rf"(?<![^\W_])(?:not|drop|{_WITHOUT})(?: [^\W\d_]{{1,3}})? $")
_PARTING: Final = keywords((*_WITHOUT.split("|"), "not", "drop", "minus", "leave")) | ONLY
_ROLES: Final = {
    key: alternation({*all_phrases(f"{key}_name")} - {"nom", "nome", "nombre", "naam"}) for key in ("first", "last")
}
_IS: Final = r"(?:is|being|as|ist|als|mit|est|es|è|é|como|comme|come)"
_ROLE: Final = {
    key: re.compile(
        rf"(?<![^\W_])(?:{called})(?:'s)?(?:[ ]{_IS})?[ :=]+(?:only |just )?(?P<of>[^\W\d_]+)|"
        rf"(?<![^\W_])(?P<is>[^\W\d_]+)(?:,?[ ]{_IS}(?:[ ][^\W\d_]{{1,5}})?[ ](?:{called})(?![^\W_])|"
        rf"[ ]?\((?:{called})\))"
    )
    for key, called in _ROLES.items()
}
_FAMILY_FIRST: Final = re.compile(rf"(?:{_ROLES['last']}) (?:first|zuerst|d'abord|primero|prima|eerst|primeiro)\b")
_ROLE_PHRASES: Final = Phrases("first_name", "last_name")
PART_WORDS: Final = _PARTING | _ENDING_WORDS | _ROLE_PHRASES.words
"""One of them is in each message of which `says_part` is true."""


def parts_fit(customer: Customer, reading: Reading) -> bool:
    """Whether the name is spelt as the message says, and its words are what it says they are."""
    return _spelling_fits(customer, reading) and _roles_fit(customer, reading)


def says_otherwise(customer: Customer, said: Said, numbers: Sequence[str]) -> bool:
    """Whether a message leaves a part of the name out, or says that a number ends as neither the id nor one of the
    `numbers` does."""
    may_end = not said.keywords.isdisjoint(_ENDING_WORDS) and _OTHER_NUMBERS.isdisjoint(said.plain)
    ending = _ENDS_IN.search(said.low) if may_end else None
    if ending is not None and not any(
        n.endswith(ending["digits"] or ending["last"] or "-") for n in (customer.id, *numbers)
    ):
        return True
    return leaves_out_part(customer, said)


def says_part(reading: Reading) -> bool:
    """A cheap test whether the message may say which word is the family name, or leave one out."""
    said = reading.said
    return (
        _is_about_part(said)
        or not said.keywords.isdisjoint(_ENDING_WORDS)
        or _ROLE_PHRASES.may_be_in(said.keywords, said.plain)
    )


def spells(reading: Reading) -> bool:
    """Whether the message may say how a name is spelt."""
    return not reading.said.keywords.isdisjoint(SPELLING) and _SPELT.search(reading.said.low) is not None


def _spelling_fits(customer: Customer, reading: Reading) -> bool:
    """Whether the name is spelt as the message says: "with a y", "without an e", "with double l", "an o in front"."""
    if not spells(reading):
        return True
    given, _, family = fold(customer.name or "").partition(" ")
    for match in _SPELT.finditer(reading.said.low):
        said, letter = fold(match["name"] or ""), match["letter"] or match["end"] or match["pair"]
        asked = match["with"] in _WITH.split("|") if match["with"] else match["none"] is None
        names = [given] if said == given else [family or given]
        if said not in (given, *family.split()) and (match["at"] or (not asked and _may_lack(given, letter))):
            names = [given, family]  # whichever is meant
        if match["at"]:
            held = [(n.endswith if "end" in match["at"] else n.startswith)(letter) for n in names]
        elif match["how"] == "one":
            held = [letter in n and letter * 2 not in n for n in names]
        else:
            held = [letter * (2 if match["pair"] or match["how"] in _TWICE else 1) in n for n in names]
        if any(held) is not asked:
            return False
    return True


def _may_lack(given: str, letter: str) -> bool:
    """Whether there is such a name without the letter: Jessie and Jesse."""
    return any(
        given[:n] + given[n + len(letter) :] in GIVEN_NAMES for n in range(len(given)) if given[n:].startswith(letter)
    )


def _roles_fit(customer: Customer, reading: Reading) -> bool:
    """Whether the words of the name are what the message says: "Martin being the family name"."""
    if not _ROLE_PHRASES.may_be_in(reading.said.keywords, reading.said.plain):
        return True
    words = normalise_name(customer.name or "").split()
    parts = {"first": set(words[:-1]), "last": set(words[1:])}
    for held in _parts_of(customer):
        parts.update({role: set(name_words(part)) for role, part in zip(parts, held, strict=True) if part})
    low = reading.said.low
    said = {role: [fold(m["of"] or m["is"]) for m in _ROLE[role].finditer(low)] for role in parts}
    if _FAMILY_FIRST.search(low):
        said["last"] += [normalise_name(e.value).split()[0] for e in reading.of_kind("name") if not e.partial]
    short = len(reading.said.plain) <= SHORT_MESSAGE and not any(
        e.kind == "name" and not e.partial for e in reading.evidence
    )
    return all(
        word in parts[role]
        for role, found in said.items()
        for word in found
        if word in words or (short and (is_unknown(word) or word in GIVEN_NAMES))
    )


def begins_with(customer: Customer, said: str) -> bool:
    """Whether the given names are what was said: "Mary Jane" of Mary Jane Watson."""
    return normalise_name(customer.name or "").startswith(f"{normalise_name(said)} ")


def is_less_than_named(customer: Customer, partial: Sequence[Evidence], said: Said) -> bool:
    """Whether a part of the name was left unsaid on purpose: "no, just Mary", after Mary Ann Evans, or "Pierre",
    after Jean-Pierre Martin."""
    if leaves_out_part(customer, said):
        return True
    words = {word for part in partial for word in normalise_name(part.value).split()}
    if said.corrects():
        return len(set(normalise_name(customer.name or "").split()) - PARTICLES - words) > 1
    halves = [set(fold(unit).split("-")) for unit in (customer.name or "").split() if "-" in unit]
    return any(unit & words and unit - words - PARTICLES for unit in halves)


def leaves_out_part(customer: Customer, said: Said) -> bool:
    """Whether a short message says a word of the name with "only", or with "without"."""
    if not _is_about_part(said):
        return False
    words, generation = normalise_name(customer.name or "").split(), generation_of(customer.name or "")
    for start, end, word in said.places:
        own = GENERATIONS.get(word) == generation if word in GENERATIONS else fold(word) in words
        own = own or (len(word) < 3 and is_unknown(word) and any(word in part for part in words))  # "ei not ee"
        if own and (said.is_negated(start) or _LEFT_OUT.search(said.low, 0, start)):
            return True
        if own and said.is_only(start, end) and len(words) > 2:
            return True
    return False


def _is_about_part(said: Said) -> bool:
    """Whether a short message has "only" or "without" in it."""
    return not said.keywords.isdisjoint(_PARTING) and len(said.plain) <= SHORT_MESSAGE


def has_longer_name(customer: Customer, said: str) -> bool:
    """Whether a name that fits has a middle name that no name in the records has: Mary Jo Evans may be another
    person than Mary Evans."""
    words = normalise_name(said).split()
    if len(words) < 3:
        return False
    known = {word for text in _names_of(customer) for word in name_words(text)}
    return any(
        (len(word) > 1 or word in PREFIXES)  # "tara o connell" is not Tara Connell
        and word not in PARTICLES
        and word != "the"
        and known.isdisjoint((word, word[0], before + word, word + behind))
        for before, word, behind in zip(words, words[1:], words[2:], strict=False)
    )


def is_turned_round(customer: Customer, said: str, *, namesake: bool = False) -> bool:
    """Whether a name may be another person's for its order: "Martin James" of James Martin, two given names, or
    "frost helen", an order of lists and not of speech, save for family names that are always said first. `namesake`:
    another has the name in the order said."""
    words, known = normalise_name(said).split(), normalise_name(customer.name or "").split()
    if len(words) < 2 or known != words[::-1] or known == words or words[0] in _SAID_FIRST:
        return False
    if namesake:
        return True
    if "'" in said or not (said.islower() or all(word in GIVEN_NAMES for word in words)):
        return False
    return not any([*map(normalise_name, parts)] == words for parts in _parts_of(customer))


def choose_called(
    left: Sequence[Customer], found: Sequence[Customer], name: Evidence, *, placed: bool
) -> tuple[list[Customer], bool]:
    """Those of `left` whose name surely is what was said, and whether one has it turned round; `found`: of any birth
    and place, `placed`: a place was said as well."""
    exact = any(normalise_name(c.name or "") == normalise_name(name.value) for c in found)
    straight = [c for c in left if not is_turned_round(c, name.value, namesake=exact)]
    turned = not straight and len(left) == 1 and (exact or not placed)
    return [c for c in straight or left if not turned and not _has_longer_name(c, name)], turned


def _has_longer_name(customer: Customer, name: Evidence) -> bool:
    values = (name.value, *name.alternatives)
    fitting = [value for value in values if customer.name and name_fits(value, [customer.name])] or values
    return all(has_longer_name(customer, value) for value in fitting)


def _parts_of(customer: Customer) -> Iterator[list[str]]:
    """Given and family name as each record has them; "" where it does not."""
    for record in customer.records:
        fields = {NOT_LETTER.sub(" ", key.lower()): value for key, value in record.fields.items()}
        yield [str(next((fields[key] for key in keys if key in fields), "")) for keys in PARTS]


def _names_of(customer: Customer) -> Iterator[str]:
    yield customer.name or ""
    for record in customer.records:
        for label, value in record.fields.items():
            plain = fold(label)
            if isinstance(value, str) and _NAMING.search(plain) and RELATIONS.isdisjoint(NOT_LETTER.split(plain)):
                yield value
