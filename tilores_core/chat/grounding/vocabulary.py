"""The words of values in answers: months, numbers, and what says that figures are the last of a longer number."""

from __future__ import annotations

import re
from typing import Final

from tilores_core.chat.customer.words import LANGUAGES, numbers_of, phrases, word_set

_MONTH_NAMES = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
OTHER_MONTHS: Final = {
    spelling: number
    for language in LANGUAGES[1:]
    for number, entry in enumerate(phrases(numbers_of(language)["months"]), 1)
    for name in entry.split()
    if len(name) > 3 or name == "mai"
    for spelling in (name, name.capitalize())
}
"""The months of the other supported languages, in lower case and with a capital."""
MONTHS: Final = OTHER_MONTHS | {
    spelling: number
    for number, name in enumerate(_MONTH_NAMES, 1)
    for short in (name, name[:3], name[:4])
    for spelling in (short.capitalize(), short)
    if spelling not in ("may", "march", "mar")  # the verbs; as months they have a capital
}
SMALL_NUMBERS: Final = frozenset(
    word for language in LANGUAGES for word in (*numbers_of(language)["digits"].split(), "oh", "double", "triple")
)
SPOKEN_NUMBER: Final = re.compile(
    r"(?:twen|thir|for|fif|six|seven|eigh|nine)t(?:y|ie)|\w+teen|hundred|thousand|"
    r"\w*(?:hundert|tausend|zig|ßig|ssig|zehn|honderd|duizend|twintig|dertig|veertig|[fjstz]tig|gtig|tien\b)|"
    r"dix-|vingt|trente|quarante|cinquante|soixante|cents?\b|mille|treize|quatorze|quinze|seize|"
    r"veint|treinta|cuarenta|cincuenta|sesenta|setenta|ochenta|noventa|cien\b|\w*cient[oa]s|quinient|mil\b|trece|quince|dieci|"
    r"\w*(?:cento|mila\b|venti|trenta|quaranta|cinquanta|sessanta|settanta|ottanta|novanta|dici\b)|dicia|dicio|"
    r"vinte|trinta|quarenta|cinquenta|sessenta|oitenta|cem\b|\w+cent[oa]s|treze|catorze|dezes|deza|dezoito|dezeno"
)
"""A cheap test for a number word above twelve, in any of the languages, in lower case; some other words pass it."""
OF: Final = frozenset(("of", "de", "del", "di"))
TENS: Final = {
    word: 10 * tens
    for tens, word in enumerate(("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"), 2)
}
TEENS: Final = {
    word: number
    for number, word in enumerate(
        ("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"), 13
    )
}
ONES: Final = {
    word: number
    for number, word in enumerate(("one", "two", "three", "four", "five", "six", "seven", "eight", "nine"), 1)
}
ABOVE: Final = frozenset(("over", "above", "more", "über", "mehr", "plus", "más", "più", "meer", "mais", "upwards"))
"""What says that the value is above the number behind it."""
BELOW: Final = word_set(
    "nearly almost under below less fewer up knapp fast unter weniger presque moins casi menos quasi meno bijna "
    "minder quase"
)
HEDGES: Final = (ABOVE | BELOW).union(
    ("about", "around", "roughly", "approximately", "some", "circa", "ca", "rund", "etwa", "ungefähr", "environ"),
    ("unos", "unas", "alrededor", "aproximadamente", "ongeveer", "cerca"),
)
THAN: Final = frozenset(("than", "de", "als", "di", "dan", "que", "to", "of"))
"""Between one of those and the number."""
MINUS: Final = frozenset(("minus", "negative", "moins", "menos", "meno"))
HEADS: Final = word_set(
    "begins beginning starts starting prefix beginnt vorwahl commence indicatif empieza comienza prefijo inizia "
    "prefisso begint netnummer começa"
)
"""Before the first characters of a number or a postcode."""
_UNITS = (
    (("$", "usd", "dollar", "dollars"), ("€", "eur", "euro", "euros"), ("£", "gbp", "sterling"), ("¥", "jpy", "yen")),
    (("kg", "kilogram", "kilograms", "kilos"), ("lb", "lbs"), ("oz", "ounces")),
    (("km", "kilometres", "kilometers"), ("mi", "mile", "miles")),
    (("celsius",), ("fahrenheit",)),
)
RIVALS: Final = {
    word: (frozenset(unit), frozenset(word for other in family if other is not unit for word in other))
    for family in _UNITS
    for unit in family
    for word in unit
}
"""The spellings of a unit, and those of the units that exclude it where a record is in one of them alone."""
PERCENT: Final = frozenset(("percent", "%", "per", "prozent", "procent", "percento", "pour", "por"))
"""Behind a number; "pour cent" and its like by their first word."""
YEARS: Final = ("year", "jahr", "ans", "años", "anni", "jaar", "anos")
"""Beginnings of the words for years."""
DAY_BEFORE: Final = frozenset(("am", "bis", "vom", "zum", "ab", "seit", "dem", "den"))
"""Before a day and a month in figures, "am 15.7."."""
PEOPLE: Final = frozenset(("she", "he", "who", "they", "customer"))
AGED: Final = frozenset(("age", "aged", "turned", "turns"))
COUNTED: Final = frozenset(("more", "further", "other", "others", "additional", "remaining", "fields", "records"))
SCALES: Final = {
    "thousand": 1e3,
    "million": 1e6,
    "billion": 1e9,
    "k": 1e3,
    "K": 1e3,
    "m": 1e6,
    "M": 1e6,
    "bn": 1e9,
    **dict.fromkeys(("tausend", "mille", "mil", "mila", "duizend"), 1e3),
    **dict.fromkeys(("mio", "million", "millionen", "millions", "millón", "millones", "milione", "milioni"), 1e6),
    **dict.fromkeys(("miljoen", "milhão", "milhões", "mln"), 1e6),
    **dict.fromkeys(("mrd", "milliarde", "milliarden", "milliard", "milliards", "miljard"), 1e9),
}
ENDING: Final = word_set("ending ends end last digits in are auf par en em sind sont")
"""Words before the last digits of a number."""
TAILS: Final = word_set(
    "ending ends end digits endet enden ziffern stellen endziffern chiffres termine terminant dígitos termina "
    "terminan terminado terminada cifre finisce cijfers eindigt eindigend"
)
