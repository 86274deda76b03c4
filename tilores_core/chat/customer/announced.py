"""What the text before a number says of it: a phone number, the number of a thing, a completion of what was said.

Each pattern is tried only where one of its first words stands, which most texts do not have.
"""

from __future__ import annotations

import re
from typing import Final

from tilores_core.chat.customer.tokens import TextScan
from tilores_core.chat.customer.words import all_phrases, alternation, keywords, word_set, words_in_any

_OTHER_NUMBER = re.compile(
    r"\b(?:account|acct|iban|card|loan|policy|invoice|order|case|ticket|reference|ref|ssn|contract|transaction|"
    r"passport|(?<!caller )id|social security|tax|amount|(?:customer|client|member)(?:'s)?[ ](?=num|no|nr)|\$|€|£)"
    r"(?:'s)?[ ]?(?:number|no\.?|nr\.?|num|id|ending in)?"
    r"[ ]?(?:is|was|of|:|=|#)?[ ]?$",
    re.IGNORECASE,
)
_OTHER_BEGINNINGS: Final = keywords(
    word_set(
        "account acct iban card loan policy invoice order case ticket reference ref ssn contract transaction "
        "passport id social tax amount customer client member"
    )
)
_CALL_WORDS: Final = ("call", "caller", "dial", "ring", "fax", "cell", "handy", "call back", "callback", "caller id")
_PHONE_WORDS: Final = alternation((*all_phrases("phone"), *_CALL_WORDS))
_PHONE_BEGINNINGS: Final = keywords(
    re.findall(r"[^\W_]+", phrase)[0] for phrase in (*all_phrases("phone"), *_CALL_WORDS)
)
_PHONE_CUE = re.compile(
    rf"(?<![^\W_])(?:{_PHONE_WORDS})\.?[ ]?(?:number|no\.?)?"
    r"(?:[ ]?(?:is|it's|was|ist|lautet|est|es|è|é|at|on|from|to|:|=|,)){0,2}[ ]?$",
    re.IGNORECASE,
)
_SUPPLEMENT = re.compile(
    r"(?<![^\W_])(?:my|her|his|their|the|mein\w*|ihr\w*|sein\w*|mon|ma|son|sa|le|mi|su|el|mio|suo|il|mijn|haar|zijn|het|"
    r"meu|seu|o)[ ](?:[^\W\d_]+[ ]){0,3}(?:is|ist|lautet|est|es|è|é|:)[ ]?$",
    re.IGNORECASE,
)
THINGS: Final = "|".join(sorted(map(re.escape, words_in_any("other_numbers")), key=len, reverse=True))
_THING_BEFORE = re.compile(
    rf"(?<![^\W_])(?:{THINGS})s?(?:nummer|nr)?\.?(?:[ ](?:with|has|having|whose)(?:[ ]the)?)?"
    r"(?:[ ]?(?:numbers?|no|nr|num|nummer|numéro|número|numero|id|ref|code|n°|nº)\.?)?"
    r"(?:[ ]?(?:ending in|ending with|ends in|is|was|ist|lautet|est|es|è|é|of|with|has|having|:|=|\#|\())*[ ]?$",
    re.IGNORECASE,
)
_THING_WORDS: Final = keywords(
    word + plural
    for thing in words_in_any("other_numbers")
    for word in re.findall(r"[^\W_]+", thing)
    for plural in ("", "s", "nummer", "snummer", "nr", "snr")
)
_CHANGED_TO = re.compile(
    r"\b(?:(?:change|update|set|switch|move|new)\w*[ ](?:[\w'’.-]+[ ]){0,5}to|"
    r"call(?:[ ](?:me|him|her|them|us))?[ ]?back[ ](?:at|on)|"
    r"callback(?:[ ]number)?(?:[ ]is|:)?|reach[ ](?:me|him|her|them|us)[ ](?:at|on))[ ]$",
    re.IGNORECASE,
)

_CHANGING: Final = frozenset(("to", "at", "on", "is", "callback", "number"))
_CURRENCIES: Final = ("$", "€", "£")


def is_cued_phone(page: TextScan, start: int) -> bool:
    """Whether a phone number is announced."""
    return page.is_announced(start, _PHONE_CUE, _PHONE_BEGINNINGS)


def is_other_number(page: TextScan, start: int) -> bool:
    """Whether the number of an account, a card or an amount is announced."""
    return page.before(start).rstrip()[-1:] in _CURRENCIES or page.is_announced(
        start, _OTHER_NUMBER, _OTHER_BEGINNINGS
    )


def is_supplement(page: TextScan, start: int) -> bool:
    """Whether what follows completes what was said before: "her phone number is", "the name is"."""
    before = page.before(start)
    verb = before.rstrip().endswith((":", "is", "ist", "lautet", "est", "es", "è", "é"))
    return verb and _SUPPLEMENT.search(before) is not None


def is_number_of_something(page: TextScan, start: int) -> bool:
    """Whether the text before a number says that it is the number of a thing: an order, a claim, a room."""
    return page.is_announced(start, _THING_BEFORE, _THING_WORDS)


def is_changed_to(page: TextScan, start: int) -> bool:
    """Whether a number is to be taken for calls from now on: "change it to", "call me back on"."""
    before = page.before(start)
    last = before[:-1].rpartition(" ")[2].lower().rstrip(":")
    return last in _CHANGING and _CHANGED_TO.search(before) is not None
