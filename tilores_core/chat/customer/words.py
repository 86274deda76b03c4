"""The words of seven languages that tell a customer's name, or a choice, from the rest of a sentence.

The lists are files in `data/`, one per language. The vocabulary of a text is English and the language whose words it
has most of; phrases that say something of what follows ("born", "not") are read in all languages at once.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any, Final

from tilores_core.spectrums import SPECTRUMS

LANGUAGES: Final = ("en", "de", "fr", "es", "it", "nl", "pt")

_PARTED = re.compile(r"\s*\|\s*")
LETTERS = re.compile(r"[^\W\d_]+")
_DATA = files(__package__).joinpath("data")


def _load(language: str) -> dict[str, Any]:
    return tomllib.loads(_DATA.joinpath(f"{language}.toml").read_text(encoding="utf-8"))


_FILES: Final = {language: _load(language) for language in LANGUAGES}


def word_set(text: str) -> frozenset[str]:
    """The words of a list that is parted by spaces."""
    return frozenset(text.split())


def phrases(text: str) -> list[str]:
    """The entries of a list that is parted by bars; `_` stands for a space within an entry of a plain list."""
    return [" ".join(entry.split()) for entry in _PARTED.split(text.strip()) if entry]


def all_phrases(key: str) -> list[str]:
    """The phrases under `[said] key` of all languages, the longest first."""
    found = (entry for language in LANGUAGES for entry in phrases(_FILES[language]["said"].get(key, "")))
    return sorted(dict.fromkeys(found), key=len, reverse=True)


def cue_phrases(kind: str) -> list[str]:
    """The phrases under `[cues] kind` of all languages."""
    return [entry for language in LANGUAGES for entry in phrases(_FILES[language]["cues"][kind])]


def words_in_any(key: str) -> frozenset[str]:
    """The words under `[said] key` of all languages."""
    return word_set(" ".join(_FILES[language]["said"].get(key, "") for language in LANGUAGES))


KEYWORDS: Final[set[str]] = set()
"""The words that some reader of a text looks for: a text has few of them, and `TextScan.keywords` tells which."""


def keywords(words: Iterable[str]) -> frozenset[str]:
    """The words, which from now on are among `TextScan.keywords` of the texts that have them."""
    KEYWORDS.update(words := frozenset(words))
    return words


_FREQUENT: Final = word_set("about account customer number one person that the this want")


class Phrases:
    """The phrases under `[said]` keys of all languages, with a cheap test whether a text may have one of them."""

    def __init__(self, *keys: str) -> None:
        self._by_word: dict[str, list[frozenset[str]]] = {}
        for key in keys:
            for entry in all_phrases(key):
                words = frozenset(LETTERS.findall(entry))
                telling = max(sorted(words - _FREQUENT or words), key=len)
                self._by_word.setdefault(telling, []).append(words)
        self.words = keywords(self._by_word)

    def may_be_in(self, keywords: frozenset[str], words: frozenset[str]) -> bool:
        """Say whether a phrase may be in a text with these `words` (`TextScan.words`), of which some are keywords."""
        for word in self.words & keywords:
            for phrase in self._by_word[word]:
                if phrase <= words:
                    return True
        return False


def alternation(entries: Iterable[str]) -> str:
    """A pattern for any of the entries; spaces in them match one or more."""
    longest_first = sorted(dict.fromkeys(entries), key=len, reverse=True)
    return "|".join(re.escape(entry.replace("_", " ")).replace(r"\ ", r"[ \-]?") for entry in longest_first)


def numbers_of(language: str) -> dict[str, str]:
    """`[numbers]` of a language."""
    numbers: dict[str, str] = _FILES[language]["numbers"]
    return numbers


def data_of(language: str) -> dict[str, Any]:
    """All lists of a language."""
    return _FILES[language]


NAMES_TOO: Final = word_set(_FILES["en"]["names_too"])
"""Never in a name, save in these: "Will Smith", "April Jones". The modals also begin a question: "Will Ann pay?" """


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The lists for one text. `never` are never part of a name; `common` are not when all is in lower case;
    `no_name_capital` and `no_name` are these without the few that are names, too; between
    `subjects` (what questions are about) and `prepositions` a pair in lower case may be a name."""

    language: str
    never: frozenset[str]
    common: frozenset[str]
    no_name_capital: frozenset[str]
    no_name: frozenset[str]
    subjects: frozenset[str]
    prepositions: frozenset[str]
    followers: frozenset[str]
    place_cues: frozenset[str]
    pronouns: frozenset[str]
    courtesies: frozenset[str]
    cues: dict[tuple[str, ...], str]


@lru_cache(maxsize=len(LANGUAGES))
def vocabulary(language: str) -> Vocabulary:
    """English, and `language` beside it."""
    lists = [_FILES[name] for name in dict.fromkeys(("en", language))]

    def joined(*keys: str) -> frozenset[str]:
        return frozenset().union(*(word_set(words.get(key, "")) for words in lists for key in keys))

    months = word_set(" ".join(words["numbers"]["months"].replace("|", " ") for words in lists))
    things = word_set(" ".join(words["said"]["other_numbers"] for words in lists))
    born = word_set(" ".join(words["said"]["born"].replace("|", " ") for words in lists))
    relations = word_set(" ".join(words["said"]["relations"] for words in lists)) - word_set(lists[0]["names_too"])
    never = joined("grammar", "subjects", "weekdays") | months | things | born
    cues = {
        tuple(phrase.split()[-2:]): kind
        for words in lists
        for kind in ("customer", "speaker", "switch", "certain")
        for phrase in phrases(words["cues"][kind])
    }
    common = never | joined("common") | relations | {word for phrase in cues for word in phrase}
    return Vocabulary(
        language=language,
        never=never,
        common=common,
        no_name_capital=never - NAMES_TOO,
        no_name=common - NAMES_TOO,
        subjects=joined("subjects"),
        prepositions=joined("prepositions"),
        followers=joined("followers"),
        place_cues=joined("place_cues"),
        pronouns=keywords(joined("pronouns")),
        courtesies=joined("courtesies"),
        cues=cues,
    )


ENGLISH: Final = vocabulary("en")
COMMON: Final = ENGLISH.common
"""English words that are not names when everything is in lower case."""
GIVEN_NAMES: Final = word_set(_DATA.joinpath("given_names.txt").read_text(encoding="utf-8"))
"""Given names that are hardly ever words: they make a pair in lower case look like a person."""
FAMILY_NAMES: Final = word_set(_FILES["en"]["family_names"])
PLACES: Final = frozenset(phrases(_FILES["en"]["places"]))
THINGS: Final = word_set(_FILES["en"]["things"])
FEATURES: Final = word_set(_FILES["en"]["features"])
"""Of the things those that towns and suburbs are named after."""
FIRMS: Final = frozenset(("ag", "corp", "gmbh", "inc", "limited", "llc", "llp", "ltd", "plc"))
TIMES: Final = word_set(_FILES["en"]["times"])
DETERMINERS: Final = word_set(_FILES["en"]["determiners"])
WORDS_TOO: Final = word_set(_FILES["en"]["words_too"])
"""Given and family names that are English words as well, in lower case."""
MODALS: Final = word_set(_FILES["en"]["modals"])
ORDINARY: Final = (
    frozenset().union(
        *(vocabulary(language).common for language in LANGUAGES),
        *(
            word_set(str(entries).replace("|", " "))
            for language in LANGUAGES
            for entries in _FILES[language]["said"].values()
        ),
        *(word_set(_FILES[name]["numbers"][key]) for name in LANGUAGES for key in ("digits", "days", "months")),
        word_set(_FILES["en"]["ordinary"]),
        ("st", "nd", "rd", "th"),
        word_set(" ".join(" ".join((*s.words, *s.fields)).lower().replace("_", " ") for s in SPECTRUMS)),
    )
    - GIVEN_NAMES
)
"""Words that are not the name of a person, in any of the languages; of every other word nothing is known."""
RELATIONS: Final = words_in_any("relations")
CONNECTING: Final = frozenset(("and", "und", "et", "y", "e", "en"))
"""Before a name: "and Gwen?"."""
OF: Final = word_set("of de von van di do da")
ARTICLES: Final = word_set(
    "the der die das den dem ein eine le la les un une el los las il lo gli i de het een o a os as um uma"
)
TAKING_BACK: Final = word_set(
    "no nein non nee não sorry pardon actually meant mean said rather plutôt bedoel meinte meine"
)
"""Before a name that takes the place of another: "no, Gwen"."""
PARTICLES: Final = word_set(
    "van von der den de del della di da dos das do du la le zu zur zum ten ter bin bint ibn al el af y e st san"
)
TITLES: Final = word_set(
    "mr mister mrs missus ms miss mx dr prof professor sir madam madame lord lady herr herrn frau monsieur mme mlle "
    "señor señora senor senora sr sra signor signora signorina sig meneer mevrouw mevr dhr senhor senhora dona don "
    "doña"
)

_NOUN_ENDINGS: Final = (
    "ing", "tion", "tions", "ment", "ments", "ness", "ity", "ities", "ance", "ence", "able", "ible", "ous", "ful",
    "ism", "ship", "ly", "ally", "ings", "ung", "ungen", "keit", "heit", "schaft", "ción", "zione", "ção", "ité",
    "teit",
)  # fmt: skip


def is_unknown(word: str) -> bool:
    """Whether nothing is known of a word in lower case: no list has it, and it does not end as nouns and verbs do."""
    plain = word in ORDINARY or (word[-1:] == "s" and word[:-1] in ORDINARY)
    return len(word) > 1 and not plain and not word.endswith(_NOUN_ENDINGS)


_GREETING: Final = frozenset().union(*(word_set(_FILES[name]["grammar"]) for name in LANGUAGES[1:]))
_FOREIGN: Final = {
    name: (vocabulary(name).common | word_set(numbers_of(name)["digits"])).difference(
        COMMON, PARTICLES, GIVEN_NAMES, "abcdefghijklmnopqrstuvwxyz", words_in_any("fillers")
    )
    for name in LANGUAGES[1:]
}
_ANY_FOREIGN: Final = keywords(word for words in _FOREIGN.values() for word in words)
_PLAIN_ENGLISH: Final = ENGLISH.never - _GREETING


def language_of(keywords: frozenset[str], words: frozenset[str]) -> str:
    """The language that a text with these words, of which some are keywords, is in; English unless another has more
    of them."""
    if _ANY_FOREIGN.isdisjoint(keywords):
        return "en"
    foreign = keywords & _ANY_FOREIGN
    counts = {name: len(foreign & known) for name, known in _FOREIGN.items()}
    best = max(counts, key=counts.__getitem__)
    return best if counts[best] >= len(words & _PLAIN_ENGLISH) else "en"
