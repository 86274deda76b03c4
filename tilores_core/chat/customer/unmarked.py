"""Evidence that nothing announces: numbers, dates and words that stand by themselves or beside what identifies."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final

from tilores_core.chat.customer.announced import is_number_of_something
from tilores_core.chat.customer.contacts import Contact
from tilores_core.chat.customer.dates import MONTHS, FoundDate
from tilores_core.chat.customer.said import Said
from tilores_core.chat.customer.spans import NameSpan
from tilores_core.chat.customer.tokens import TextScan, Word
from tilores_core.chat.customer.words import (
    FAMILY_NAMES,
    GIVEN_NAMES,
    LANGUAGES,
    LETTERS,
    Vocabulary,
    is_unknown,
    keywords,
    vocabulary,
    words_in_any,
)
from tilores_core.contracts import Evidence, Strength

_BARE_NUMBER = re.compile(r"(?<![\w$€£.,+\-/])#?(\d{1,20})(?![\w%€$£/]|[.,\-]\d)", re.ASCII)
_PUT_RIGHT = re.compile(
    r"\W*(?:it'?s|i mean|that'?s|is)?\W*([A-Za-z]{0,3}-?\d{1,20})\b(?![ ](?:years?|months?|weeks?|days?|times)\b)",
    re.IGNORECASE,
)
_OR_NUMBER: Final = re.compile(r",?[ ](?:or|oder|ou|o)[ ](?:was it[ ])?\d{1,6}(?!\w)")
_NUMBER_BEFORE_NAME = re.compile(r"[ ]?[\-–:,)\]][ ]?(?:(?:the )?name(?: is)?[ :]{1,2}|it's |this is )?|[ ]")
_NUMBER_BEHIND_NAME = re.compile(r"(?:['’]s)?[ \n]?(?:[(\[#–:,\-][ ]?){0,2}(?:(?:id|no|number|nr)[ .:#]{0,3})?")
_NUMBER_ENDS = re.compile(r"[ ]?(?:[)\].,;?!\n]|$)")
_INSTEAD: Final = frozenset(("about", "and", "switch", "now", "to")) | words_in_any("but")
_AROUND_NUMBER: Final = words_in_any("choosing").union(
    words_in_any("correction"),
    words_in_any("number"),
    words_in_any("negators"),
    words_in_any("one"),
    words_in_any("but"),
    words_in_any("owner"),
    _INSTEAD,
    ("that", "should", "be", "was", "is", "it's", "that's", "its", "thats", "no", "nein", "wrong"),
)
_SHORTEST_PHONE: Final = 7
_LONG: Final = 3  # digits that are hardly a count or a place in a list
_BESIDE = re.compile(r"(?:['’]s)?[ ,;:(\-–]{1,3}")
_LISTED = re.compile(r"(?:^|[,;:(\n|\-–])[ ]?$")
_ENDS = re.compile(r"[ ]?(?:[,.;:?!)\n]|$)")
_AROUND_DATE: Final = (
    words_in_any("choosing") | words_in_any("correction") | words_in_any("light") | MONTHS.keys() | {"it's"}
)
_OR: Final = frozenset(("or", "oder", "ou", "o", "of"))
_DOUBTING: Final = keywords(_OR - {"o", "of"})
MOST_DATES = 4
_TO_CONTACT: Final = re.compile(
    r"(?:['’]s)?[ ,;:(\-–]{0,3}(?:(?:here|calling|calls?|called|phone|number|tel|cell|mobile|at|on|from|is|my|with|"
    r"e-?mail|mail|the|and|customer|client|id)[ ,.:]{1,2}){0,4}",
    re.IGNORECASE,
)
_FROM_CONTACT: Final = re.compile(
    r"[ ,;:)\-–.]{1,3}(?:(?:it's|its|this is|i'm|im|i am|for|name|is|named|called|and|my)[ :,]{1,2}){0,3}",
    re.IGNORECASE,
)


@lru_cache(maxsize=len(LANGUAGES))
def around_number(language: str) -> tuple[frozenset[str], frozenset[str]]:
    """The words beside which a number may be all that a message says, and their runs of letters, a cheaper test."""
    words = _AROUND_NUMBER | vocabulary(language).courtesies
    return words, frozenset(re.findall(r"[^\W\d_]+", " ".join(words)))


def bare_numbers(
    page: TextScan, names: Sequence[tuple[int, int]], known: Vocabulary, said: Said
) -> Iterator[Evidence]:
    """A number that may be an id though nothing says so: all of a message ("no, 1043"), or beside one of the
    `names`."""
    around, parts = around_number(known.language)
    first = LETTERS.search(page.low)  # tells of most texts, and takes a tenth of the time
    alone = (first is None or first[0] in parts) and (
        all(run[2] in parts or run[2].isdecimal() for run in page.runs)
        and all(word in around or word.isdecimal() for word in said.words)
    )
    for number in _BARE_NUMBER.finditer(page.left) if alone or names else ():
        start, end = number.span(1)
        before, long = page.left[:start], len(number[1]) >= _LONG
        if len(number[1]) == 4 and number[1].startswith(("19", "20")) and len(said.words) > 1:
            continue  # a year
        beside = alone or any(
            (until <= number.start() and _NUMBER_BEHIND_NAME.fullmatch(page.left, until, start)
             and _NUMBER_ENDS.match(page.left, end) and (long or not page.left[end:].strip(" .,;?!)]")))
            or (long and begin >= end and _NUMBER_BEFORE_NAME.fullmatch(page.left, end, begin)
                and (begin - end > 1 or page.left[end] != " " or not before.strip(" #")))
            for begin, until in names
        )  # fmt: skip
        if not beside or is_number_of_something(page, start):
            continue
        meant = alone and (said.corrects() or any(word in _INSTEAD for word in said.words))
        strength = Strength.WEAK if meant and len(number[1]) < _SHORTEST_PHONE else Strength.FAINT
        yield Evidence(kind="customer_id", value=number[1], start=start, end=end, strength=strength)


def find_corrected_number(ids: Sequence[Contact], phones: Sequence[Contact], said: Said) -> Iterator[Evidence]:
    """ "customer 2001, sorry, 2042": a bare number in place of the id, or of the last digits of a phone number."""
    known = [*ids, *phones]
    if not _DOUBTING.isdisjoint(said.keywords):
        for item in known:
            if _OR_NUMBER.match(said.low, item.end):  # "937-555-0124 or 0125" cannot be told
                yield Evidence(kind="date_of_birth", value="", start=item.start, end=item.end)
    at = said.last_no() if known else -1
    if at < 0 or not any(item.end <= at for item in known) or any(item.start >= at for item in known):
        return
    if number := _PUT_RIGHT.match(said.text, at):
        start, end = number.span(1)
        if any(item.end <= at for item in ids):
            yield Evidence(kind="customer_id", value=number[1], start=start, end=end)
        else:
            yield Evidence(kind="phone", value=number[1], start=start, end=end, partial=True)


def births(
    page: TextScan,
    dates: Sequence[FoundDate],
    names: Sequence[tuple[int, int]],
    found: Sequence[Contact],
    said: Said,
    latest: int,
) -> Iterator[Evidence]:
    """Dates said to be a date of birth, else those that stand by themselves or beside what identifies a customer:
    "Edwina Hawthorne, 1980-04-12". `latest`: the last year in which a customer may be born."""
    born = [item for item in dates if item.born]
    taken_back = said.correction_behind(born[-1].end) if born and said.may_deny else -1
    if born and 0 <= born[-1].end <= taken_back:
        said.correct_at(taken_back)
        later = [item for item in dates if item.start >= taken_back]  # "born 4 May, sorry, 3 May 1980"
        month = LETTERS.search(said.low, taken_back)
        if not later and month is not None and (number := MONTHS.get(month[0])):
            later = [FoundDate(f"--{number:02}", *month.span(), True)]  # "born in March, no, September"
        born += later
    elif not born:
        ids = [(item.start, item.end) for item in found if item.kind == "customer_id"]
        dates = [item for item in dates if not any(a <= item.start < b for a, b in ids)]  # "customer 1984"
        likely = [item for item in dates if not item.value[:1].isdecimal() or int(item.value[:4]) <= latest]
        if not ids and said.is_short() and all(word in _AROUND_DATE or word[:1].isdecimal() for word in said.words):
            born = [item for item in likely if item.value[:1].isdecimal()]
        else:
            spans = [*names, *((item.start, item.end) for item in found)]
            born = [item for item in likely if _is_listed(page.text, item, spans)][:1]
    others: list[str] = []
    for item in born:
        if item.value in others:
            continue
        others = [o.value for o in dates if o.start > item.end and _is_or(said.low, item.end, o.start)]
        yield Evidence(
            kind="date_of_birth",
            value=item.value,
            start=item.start,
            end=item.end,
            alternatives=(*item.alternatives, *others),
        )


def _is_or(low: str, start: int, end: int) -> bool:
    """Whether "or", "or was it" is all that stands between two places."""
    words = LETTERS.findall(low, start, end)
    return bool(words) and words[0] in _OR and _AROUND_DATE.issuperset(words)


def _is_listed(text: str, item: FoundDate, spans: Sequence[tuple[int, int]]) -> bool:
    """Whether a date stands between commas or right beside what identifies a customer."""
    whole, ends = len(item.value) == 10, _ENDS.match(text, item.end) is not None
    if whole and ends and _LISTED.search(text, max(0, item.start - 2), item.start):
        return True
    if item.value.startswith("--") or not (whole or ends):
        return False
    return any(
        (0 < item.start - end <= 5 and _BESIDE.fullmatch(text, end, item.start))
        or (whole and 0 < start - item.end <= 3 and _BESIDE.fullmatch(text, item.end, start))
        for start, end in spans
    )


def beside_contacts(
    page: TextScan,
    words: Sequence[Word],
    names: Sequence[NameSpan],
    contacts: Sequence[Contact],
    known: Vocabulary,
) -> Iterator[NameSpan]:
    """A single word right beside a contact that can only be a name: "Lane, 503 555 0143", "bo calling from 503 …"."""
    taken = {position for span in names for position in range(span.start, span.end)}
    for word in words:
        may = (
            (is_unknown(word.low) and known.language != "de")
            or word.low in GIVEN_NAMES
            or (word.capital and word.low in FAMILY_NAMES)
        )
        if not may or word.start in taken:
            continue
        if any(
            _TO_CONTACT.fullmatch(page.text, word.end, item.start)
            if word.end <= item.start
            else _FROM_CONTACT.fullmatch(page.text, item.end, word.start)
            for item in contacts
        ):
            yield NameSpan(word.text, word.start, word.end, Strength.FAINT, partial=True)
