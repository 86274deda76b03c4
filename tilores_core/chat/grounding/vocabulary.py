"""The words of values in answers: months, numbers, and what says that figures are the last of a longer number."""

from __future__ import annotations

from typing import Final

from tilores_core.chat.customer.words import LANGUAGES, numbers_of, phrases

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
HEDGES: Final = frozenset(
    (
        *("about", "around", "roughly", "approximately", "nearly", "almost", "over", "under", "above", "below"),
        *("some", "than", "circa", "ca", "up"),
    )
)
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
}
ENDING: Final = frozenset(
    {"ending", "ends", "end", "last", "digits", "in", "are", "auf", "par", "en", "em", "sind", "sont"}
)
"""Words before the last digits of a number."""
TAILS: Final = frozenset(
    (
        *(
            "ending",
            "ends",
            "end",
            "digits",
            "endet",
            "enden",
            "ziffern",
            "stellen",
            "endziffern",
            "chiffres",
            "termine",
        ),
        *("terminant", "dígitos", "termina", "terminan", "terminado", "terminada", "cifre", "finisce", "cijfers"),
        *("eindigt", "eindigend"),
    )
)
