"""What the records of a customer hold, in the form that a text is compared with.

Words are compared folded (case and accents gone, umlauts both ways) and without what stands between them, so that
`O'Brien`, `O Brien` and `OBRIEN` are one. Numbers need no place here: `patterns` masks them all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tilores_core.chat.customer.words import COMMON
from tilores_core.contracts import Customer
from tilores_core.identity.names import fold_both

WORD = re.compile(r"[^\W_]+")
LONGEST_PHRASE: Final = 8
"""Words of a value that are compared as a whole; of a longer one every three words in a row are."""

SHINGLE: Final = 3

_PERSONAL = re.compile(
    r"name|holder|spouse|kin|manager|advis|guarantor|beneficiar|referred|customers|users|attorney"
    r"|address_?line|street|city|town|county|region|postcode|zip|country",
    re.IGNORECASE,
)
_NAME = re.compile(
    r"name|holder|spouse|kin|manager|advis|guarantor|beneficiar|referred|customers|users", re.IGNORECASE
)


@dataclass(slots=True)
class Values:
    """The values of a customer's records, prepared for finding them in a text.

    `phrases` and `words` without spaces between; `names`: the words that are of names; `stems`: the longer ones of
    them, also looked for inside other words; `shingles` as `shingle` makes them; `initials` of names, two letters or
    more; `nearly`: words of names and addresses, whole and with one letter left out.
    """

    phrases: set[str] = field(default_factory=set)
    words: set[str] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    stems: set[str] = field(default_factory=set)
    shingles: set[str] = field(default_factory=set)
    initials: set[str] = field(default_factory=set)
    nearly: set[str] = field(default_factory=set)

    def add(self, field: str, text: str) -> None:
        personal, named = bool(_PERSONAL.search(field)), bool(_NAME.search(field))
        for spelling in fold_both(text):
            words = tuple(WORD.findall(spelling))
            self.phrases.add("".join(words))
            self.shingles.update(
                shingle(words[start : start + SHINGLE])
                for start in range(len(words) - SHINGLE + 1)
                if len(words) > LONGEST_PHRASE
            )
            # Also with what an apostrophe or a hyphen holds together.
            parts = {*words, *("".join(WORD.findall(part)) for part in spelling.split())}
            for word in parts:
                if len(word) < (2 if named else 3) or word.isdigit():
                    continue
                if personal or word not in COMMON:
                    self.words.add(word)
                if named:
                    self.names.add(word)
                if named and len(word) >= 5:
                    self.stems.add(word)
                if personal and len(word) >= 5 and word.isalpha():
                    self.nearly.update((word, *drop_each_letter(word)))
            if named and 2 <= len(words) <= 4:
                initials = "".join(word[0] for word in words)
                self.initials |= {initials, initials[0] + initials[-1], initials[-1] + initials[0]}


def is_trivial(value: Any) -> bool:
    """Too common to be anybody's: a boolean, nothing, a whole number of one or two digits, one or two characters
    (country and state codes)."""
    if value is None or isinstance(value, bool):
        return True
    if isinstance(value, int | float):
        return float(value).is_integer() and abs(value) < 100
    text = "".join(WORD.findall(str(value)))
    return len(text) <= 2 or text.casefold() in ("true", "false")


def values_of(customer: Customer) -> Values:
    """All that the records say, with the customer's id, name and traits."""
    said = [("id", customer.id), ("name", customer.name), *customer.traits.items()]
    for record in customer.records:
        said += [("id", record.id), *record.fields.items()]
    values = Values()
    texts = {leaf for name, value in said for leaf in leaves(name, value) if isinstance(leaf[1], str)}
    for name, text in texts:
        if not is_trivial(text):
            values.add(name, text)
    return values


def shingle(words: tuple[str, ...]) -> str:
    return " ".join(words)


def drop_each_letter(word: str) -> Iterator[str]:
    """The word without each of its letters in turn. Two words that are one letter apart, wrong, missing, too many or
    swapped with its neighbour, have one of these in common (or are one of the other's)."""
    return (word[:place] + word[place + 1 :] for place in range(len(word)))


def leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The single values in a JSON value, each with the name of the field that it is in."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from leaves(f"{name} {key}", inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from leaves(name, inner)
    else:
        yield name, value
