"""What a customer's records say that a caller may say, too: birth, place, form of address."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from tilores_core.chat.customer.dates import compact_days, fits
from tilores_core.chat.customer.extraction import Reading
from tilores_core.chat.customer.name_parts import (
    NOT_LETTER,
    PART_WORDS,
    PARTS,
    SHORT_MESSAGE,
    SPELLING,
    parts_fit,
    says_otherwise,
    says_part,
    spells,
)
from tilores_core.chat.customer.said import Said
from tilores_core.chat.customer.words import (
    CONNECTING,
    keywords,
    word_set,
    words_in_any,
)
from tilores_core.contracts import Customer, Evidence
from tilores_core.identity import parse_date
from tilores_core.identity.names import GENERATIONS, fold, generation_of, name_words

_WORD = re.compile(r"[^\W_]+")
_YEAR = re.compile(r"(?:18|19|20)\d\d", re.ASCII)
_BIRTH_FIELDS: Final = word_set(
    "dateofbirth dob birthdate birthday birthdt born birth bday yearofbirth birthyear geburtsdatum geburtstag "
    "geboren datenaissance datedenaissance fechanacimiento geboortedatum fechadenacimiento datadinascita datanascita "
    "datanascimento datadenascimento"
)
_SEX_FIELDS: Final = words_in_any("sex_fields")
_SEXES: Final = {word: key for key in ("female", "male") for word in words_in_any(key)}
_NOT_DIGIT = re.compile(r"\D")
_SHORTEST_PHONE: Final = 7
_LONG: Final = 9  # digits of a number that is a phone's, though nothing says what it is
_PRONOUNS: Final = {
    **dict.fromkeys(("he", "him", "his", "he's"), "male"),
    **dict.fromkeys(("she", "her", "hers", "she's"), "female"),
}
_FOREIGN_PRONOUNS: Final = {
    **dict.fromkeys(("er", "ihm", "ihn", "lui", "él", "ele", "dele", "hij", "hem"), "male"),
    **dict.fromkeys(("sie", "elle", "lei", "ella", "ela", "dela", "zij"), "female"),
}
_SHE: Final = {
    "de": re.compile(r"\b(?:schuldet|zahlt|wohnt|verdient|möchte|heißt|hat) sie\b(?! (?:bezahlt|noch offen|fällig))"),
    "fr": re.compile(r"\belle (?:doit|paie|habite|gagne)|\b(?:doit|paie|habite|gagne)-(?:t-)?elle\b"),
    "es": re.compile(r"\b(?:debe|paga|vive|gana) ella\b|\bella (?:debe|paga|vive|gana)\b"),
}
_HIS: Final = dict.fromkeys(("sein", "seine", "seinen", "seiner", "seines", "seinem"), "male")  # "ihr" is "your", too
_PEOPLE: Final = {
    **dict.fromkeys(("man", "gentleman", "guy", "male"), "male"),
    **dict.fromkeys(("woman", "lady", "female"), "female"),
}
_PRONOUN_BEHIND: Final = re.compile(
    r"(?:'s)?[ ,.;:\-–]{1,3}(?:and |what (?:does|did|is) |does |did |is |has )?(he|she|his|her|him)\b"
)
_IT_IS: Final = frozenset(("the", "it's", "its", "it", "he's", "she's", "that's", "he", "she"))
_SEXED: Final = keywords((*_PRONOUNS, *_PEOPLE))
_NAME_FIELDS: Final = frozenset((*PARTS[0], *PARTS[1], "name", "full name", "customer name", "nickname", "alias"))
_GENERATION_WORDS: Final = keywords(set(GENERATIONS) - {"second", "third", "fourth", "elder", "younger"})
_TELLING: Final = SPELLING | PART_WORDS | _SEXED | _GENERATION_WORDS
_FEW_WORDS: Final = 4  # beside "senior", which is said of discounts, too
_SHORT = 3  # a value this short may be a word ("IN", "OR"): its capitals count


def births(customer: Customer) -> frozenset[str]:
    """The dates or years of birth in the customer's traits and records."""
    values = (customer.traits, *(record.fields for record in customer.records))
    labelled = ((label, value) for fields in values for label, value in fields.items())
    texts = [str(value) for label, value in labelled if NOT_LETTER.sub("", label.lower()) in _BIRTH_FIELDS]
    days = {day for text in texts for day in (parse_date(text), parse_date(text, day_first=True)) if day}
    years = {text for text in texts if _YEAR.fullmatch(text)}
    return frozenset(days | (years - {day[:4] for day in days}))


def born_then(customer: Customer, said: Evidence) -> bool:
    """Whether a date of birth, or the part of it that was said, is the customer's; false when none is known."""
    known = births(customer)
    return any(fits(value, day) for value in (said.value, *said.alternatives) for day in known)


def is_at(customer: Customer, place: str) -> bool:
    """Whether the customer's traits or records name the place."""
    wanted = _WORD.findall(fold(place))
    return any(_occurs(wanted, text) for text in _texts(customer))


def is_at_any(customer: Customer, place: Evidence) -> bool:
    return any(is_at(customer, value) for value in (place.value, *place.alternatives))


def _texts(customer: Customer) -> Iterator[str]:
    """The values of traits and records, save the person's name: Paris Bright need not be from Paris."""
    yield from customer.traits.values()
    for record in customer.records:
        for label, value in record.fields.items():
            if NOT_LETTER.sub(" ", label.lower()) not in _NAME_FIELDS:
                yield from (text for text in _strings(value) if "@" not in text)


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _strings(inner)


def _occurs(wanted: Sequence[str], text: str) -> bool:
    words = _WORD.findall(fold(text))
    return bool(wanted) and any(
        words[i : i + len(wanted)] == list(wanted) for i in range(len(words) - len(wanted) + 1)
    )


def is_ending(item: Evidence) -> bool:
    """Whether it is the last digits of a phone number."""
    return item.kind == "phone" and item.value.startswith("*")


def ends_fit(customer: Customer, reading: Reading) -> bool:
    """Whether some number in the records ends as the message says."""
    said = [item.value[1:] for item in reading.evidence if is_ending(item) and item.polarity != "negated"]
    return all(any(number.endswith(ending) for number in _numbers(customer)) for ending in said)


def _numbers(customer: Customer) -> list[str]:
    return [digits for text in _texts(customer) if len(digits := _NOT_DIGIT.sub("", text)) >= _SHORTEST_PHONE]


def denies_part(customer: Customer, said: Said) -> bool:
    """Whether a message leaves a part of the name out, or says that a number ends otherwise."""
    return says_otherwise(customer, said, _numbers(customer))


def has_number(customer: Customer, digits: str) -> bool:
    """Whether the records hold this number, or one that ends with it."""
    return is_at(customer, digits) or any(number.endswith(digits) for number in _numbers(customer))


def title_fits(customer: Customer, title: str) -> bool:
    """Whether "Mr" or "Mrs" before a name may be the customer's; true when the records do not say."""
    return sex_fits(customer, _SEXES.get(title) if title else None)


def pronoun_fits(customer: Customer, name: Evidence, said: Said) -> bool:
    """Whether "he" or "she" right behind a name may be the customer."""
    match = None if said.keywords.isdisjoint(_PRONOUNS) else _PRONOUN_BEHIND.match(said.low, name.end)
    return match is None or sex_fits(customer, _PRONOUNS[match[1]])


def sex_fits(customer: Customer, asked: str | None) -> bool:
    """Whether the records say nothing else; true when nothing is `asked` or they do not say."""
    if asked is None:
        return True
    known = {
        _SEXES[text]
        for record in customer.records
        for label, value in record.fields.items()
        if NOT_LETTER.sub("", label.lower()) in _SEX_FIELDS and (text := str(value).strip(" .").lower()) in _SEXES
    }
    return not known or asked in known


def other_generation(customer: Customer, said: Said) -> str:
    """The generation that a short message names where it is not the customer's: "and senior?"; else empty."""
    own = generation_of(customer.name or "")
    if len(said.plain) > _FEW_WORDS or said.negated:
        return ""
    return next((GENERATIONS[w] for w in said.keywords & _GENERATION_WORDS if GENERATIONS[w] != own), "")


def is_wrong(customers: Iterable[Customer], text: str) -> bool:
    """Whether the text, in lower case, says "the wrong Ann" of one of them."""
    return any(f"wrong {word}" in text for customer in customers for word in name_words(customer.name or ""))


def has_field(customer: Customer, word: str) -> bool:
    """Whether the word, or its singular, is in the name of a field of the customer's."""
    low = fold(word)
    forms = {low, low.removesuffix("s")}
    return any(
        not forms.isdisjoint(NOT_LETTER.split(fold(name))) for record in customer.records for name in record.fields
    )


def fits_all(customer: Customer, reading: Reading) -> bool:
    """Whether the customer fits what a message says beside identifiers: birth, place, spelling."""
    for item in reading.evidence:
        if item.polarity == "negated":
            continue
        if (
            item.kind == "date_of_birth"
            and not born_then(customer, item)
            and (len(item.value) < 10 or any(len(day) == 10 for day in births(customer)))
        ):
            return False
        if item.kind == "place" and not is_at_any(customer, item):
            return False
        if (days := unmarked_days(item)) and item.value != customer.id and days.isdisjoint(births(customer)):
            return False
        bare = item.kind == "customer_id" and not item.strength and item.value.isdecimal()
        if bare and len(item.value) >= _LONG and not any(n.endswith(item.value[-_LONG:]) for n in _numbers(customer)):
            return False
    return ends_fit(customer, reading) and parts_fit(customer, reading)


def unmarked_days(item: Evidence) -> frozenset[str]:
    """The days of birth that a number may be of which nothing says what it is: "Hans Maier 290260"."""
    return compact_days(item.value) if item.kind == "customer_id" and not item.strength else frozenset()


# --- traits ----------------------------------------------------------------------------------------------


def is_trait(customers: Sequence[Customer], text: str) -> bool:
    """Whether the text is a value that tells one of these customers from the others."""
    wanted = _WORD.findall(fold(text))
    return any(_occurs(wanted, value) for customer in customers for value in customer.traits.values())


def says(said: Said, value: str, *, after: int = -1) -> int:
    """1 when the message names the value, -1 when it denies it, else 0. `after`: where to begin to read."""
    day = parse_date(value)
    year = day[:4] if day else value if _YEAR.fullmatch(value) else None
    short = year is None and len(value) <= _SHORT and not value.isdecimal()
    if short and (len(value) < 2 or (value.isupper() and value not in _WORD.findall(said.text))):
        return 0
    if year is not None and said.dated:
        return 0  # it may be the year of another date
    wanted = _WORD.findall(fold(year or value))
    if not wanted:
        return 0
    places = said.places
    words = said.folded
    if year is not None and len(said.lone_number) == 2:
        wanted = [year[2:]]
    for i in range(len(words) - len(wanted) + 1):
        if words[i : i + len(wanted)] == wanted and places[i][0] >= after:
            return -1 if said.is_negated(places[i][0]) else 1
    return 0


def denies_trait(said: Said, customer: Customer) -> bool:
    """Whether the message rules out a value of the customer's: "not the one in Leeds"."""
    return bool(said.negated) and any(says(said, value) < 0 for value in customer.traits.values())


def sex_meant(reading: Reading) -> str | None:
    """The sex that the pronouns of an English message all have."""
    if reading.language != "en":
        said, known = reading.said.words, _HIS
        if (she := _SHE.get(reading.language)) is not None and she.search(reading.said.low):
            return "female"
        if said and said[0] in CONNECTING:
            said = said[1:]  # "und er?"
            known = _FOREIGN_PRONOUNS | _HIS if len(said) < 3 else _HIS
        return known.get(said[0]) if said else None
    message = reading.said
    words = message.keywords & _SEXED
    if not words:
        return None
    known = _PRONOUNS if reading.refers_back or len(message.plain) <= _FEW_WORDS else {}
    if len(message.plain) <= SHORT_MESSAGE and not _IT_IS.isdisjoint(message.plain):
        known = _PRONOUNS | _PEOPLE  # "it's a man"
    if len({known.get(word) for word in words}) > 1 and message.negated:
        words = frozenset(
            word for start, _, word in message.places if word in words and not message.is_negated(start)
        )
    sexes = {known[word] for word in known.keys() & words}
    return sexes.pop() if len(sexes) == 1 else None


def says_trait(reading: Reading) -> bool:
    """Whether the message may say how the name is spelt, the generation, or the sex of the customer."""
    words = reading.said.keywords
    if reading.language == "en" and words.isdisjoint(_TELLING):
        return False
    told = not words.isdisjoint(_GENERATION_WORDS) or says_part(reading)
    return told or spells(reading) or sex_meant(reading) is not None
