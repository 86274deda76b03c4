"""What one message says of the customer: evidence with its kind, span, polarity and strength."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property
from itertools import pairwise
from typing import Final

from tilores_core.chat.customer.contacts import (
    Found,
    Page,
    as_evidence,
    find_emails,
    find_ids,
    find_parts,
    find_phones,
    is_supplement,
    may_be_id,
)
from tilores_core.chat.customer.dates import MONTHS, FoundDate, find_dates
from tilores_core.chat.customer.names import NameSpan, find_names
from tilores_core.chat.customer.numbers import number_language, with_figures
from tilores_core.chat.customer.said import Said, references
from tilores_core.chat.customer.tokens import Word, split_words
from tilores_core.chat.customer.words import (
    ENGLISH,
    FAMILY_NAMES,
    GIVEN_NAMES,
    THINGS,
    Vocabulary,
    language_of,
    said_in_any,
    vocabulary,
    words_in_any,
)
from tilores_core.contracts import Evidence, Identifiers, Strength
from tilores_core.identity import Locale, normalise_name

LONGEST_TEXT = 8_000
"""Characters read of one message, counted from its end."""
MOST_MENTIONS = 8
KINDS: Final = ("customer_id", "email", "phone", "name")
"""What identifies a customer, the strongest first."""
_MOST_DATES = 4

_SPACES = str.maketrans({"\t": " ", "\u00a0": " ", "\u202f": " ", "\u2007": " ", "\r": "\n"})
_BESIDE = re.compile(r"(?:['’]s)?[ ,;:(\-–]{1,3}")
_DIGIT = re.compile(r"\d")
_LOWER_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
_BARE_NUMBER = re.compile(r"#?(\d{3,20})[.!?]?", re.ASCII)
_PUT_RIGHT = re.compile(r"\W*(?:it'?s|i mean|that'?s|is)?\W*([A-Za-z]{0,3}-?\d{3,20})\b", re.IGNORECASE)
_ENDS = re.compile(r"[ ]?(?:[,.;:?!)\n]|$)")
_PLACE_WORDS: Final = words_in_any("places")
_OF: Final = frozenset(("of", "de", "von", "van", "di", "do", "da"))
_ONE: Final = words_in_any("one")
_BORN: Final = frozenset(word for phrase in said_in_any("born") for word in phrase.split())
_PLACE_ENDS: Final = 3  # words of the longest place
_REFERENCES = {(a, b) for a in ("this", "the", "that", "same") for b in ("customer", "client", "caller", "person")}


@dataclass(frozen=True)
class Reading:
    """One message read. `asked` is what the assistant had said just before it."""

    text: str = ""
    evidence: tuple[Evidence, ...] = ()
    dates: tuple[str, ...] = ()
    asked: str = ""
    alone: bool = False
    said: Said = field(default_factory=lambda: Said(""), compare=False)
    language: str = "en"

    @cached_property
    def found(self) -> tuple[Evidence, ...]:
        """The evidence that identifies a customer, the strongest first."""
        naming = [item for item in self.evidence if item.kind in KINDS and item.value]
        naming.sort(key=lambda item: (-item.strength, item.speaker, KINDS.index(item.kind)))
        return tuple(naming[:MOST_MENTIONS])

    @cached_property
    def born(self) -> tuple[Evidence, ...]:
        return tuple(item for item in self.evidence if item.kind == "date_of_birth")

    @property
    def date_of_birth(self) -> str | None:
        """A whole date that is said to be a date of birth."""
        whole = [item.value for item in self.born if len(item.value) == 10]
        return whole[-1] if whole else None

    @property
    def refers_back(self) -> bool:
        return any(item.kind == "pronoun" for item in self.evidence)

    def of_kind(self, *kinds: str) -> tuple[Evidence, ...]:
        return tuple(item for item in self.evidence if item.kind in kinds)


def extract(
    text: str,
    *,
    region: str,
    day_first: bool | None = None,
    mentions: Sequence[Identifiers] = (),
    asked: str = "",
    today: date | None = None,
) -> Reading:
    """What `text` says of a customer, at most `MOST_MENTIONS` of those that identify one; of a long text the last
    `LONGEST_TEXT` characters are read.

    `region` (ISO 3166) is where phone numbers without a country code belong; it tells the order of day and month as
    well, unless `day_first` does. `mentions`: customers that the source spotted in the same text; they count as
    strong. Raises nothing, whatever the text.
    """
    plain = readable(text)
    low = frozenset(_LOWER_WORD.findall(plain.lower()))
    known = vocabulary(language_of(low))
    figures = with_figures(plain, low, number_language(low, known.language))
    page = Page(figures.text)
    numeric = _DIGIT.search(page.text) is not None
    dated = numeric or not (_BORN.isdisjoint(low) or MONTHS.keys().isdisjoint(low))
    emails = find_emails(page)
    dates = find_dates(page.left, Locale.of(region, day_first).day_first, today or date.today()) if dated else []
    for item in dates:
        if item.born or len(item.value) == 10:
            page.blank(item.start, item.end)
    phones = find_phones(page, region) if numeric else []
    ids = find_ids(page, phones) if numeric or "_" in page.text else []
    parts = find_parts(page, phones) if numeric and not ids else []
    for part in parts:
        if part.strength:
            page.blank(part.start, part.end)
    words = split_words(page.left, elided=known.language in ("fr", "it"))
    names = find_names(words, known)

    said = Said(figures.text, known.language, low)
    said.dated = any(len(item.value) == 10 for item in dates)
    evidence = [as_evidence(item) for item in (*emails, *phones, *parts, *ids)]
    evidence += _alone_number(page.text)
    evidence += _corrected_id(ids, said)
    evidence += _named(names, words, mentions, page, known, identified=bool(emails or phones or ids))
    evidence += _births(page.text, dates, names)
    evidence += _places(words, names, known, said)
    evidence += references(said, low)
    evidence += _pronouns(words, known)
    polarised = _with_polarity(evidence, said)
    if figures.places:
        polarised = [replace(e, start=figures.origin(e.start), end=figures.origin(e.end)) for e in polarised]
    return Reading(
        text=figures.text,
        evidence=tuple(_distinct(polarised)),
        dates=tuple(dict.fromkeys(item.value for item in dates if item.value))[-_MOST_DATES:],
        asked=asked,
        alone=any(span.alone for span in names) or bool(_BARE_NUMBER.fullmatch(page.text)),
        said=said,
        language=known.language,
    )


def readable(text: str) -> str:
    """The part of `text` that is read, composed, with plain spaces; a text all in capitals in lower case."""
    text = text.strip()
    if len(text) > LONGEST_TEXT:
        text = text[-LONGEST_TEXT:]
        # The first word may be half of one; no name or number must be made of its rest.
        text = text.partition(" ")[2] or text
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    text = text.translate(_SPACES).strip()
    return text.lower() if text.isupper() and text.count(" ") > 2 else text


# --- contacts and ids ------------------------------------------------------------------------------------


def _alone_number(text: str) -> Iterator[Evidence]:
    if number := _BARE_NUMBER.fullmatch(text):
        start, end = number.span(1)
        yield Evidence(kind="customer_id", value=number[1], start=start, end=end, strength=Strength.FAINT)


def _corrected_id(ids: Sequence[Found], said: Said) -> Iterator[Evidence]:
    """ "customer 2001, sorry, 2042": a bare number in place of the id."""
    at = said.last_correction()
    if at < 0 or not any(item.end <= at for item in ids) or any(item.start >= at for item in ids):
        return
    if number := _PUT_RIGHT.match(said.text, at):
        start, end = number.span(1)
        yield Evidence(kind="customer_id", value=number[1], start=start, end=end)


# --- names -----------------------------------------------------------------------------------------------


def _named(
    names: Sequence[NameSpan],
    words: Sequence[Word],
    known: Sequence[Identifiers],
    page: Page,
    known_words: Vocabulary,
    *,
    identified: bool,
) -> Iterator[Evidence]:
    """Names by their shape and those that the source knows, each person once."""
    text = page.text
    shaped = {normalise_name(span.name): span for span in names}
    spotted: set[str] = set()
    for who in known:
        if who.customer_id:
            at = text.lower().find(who.customer_id.lower())
            if at < 0 or may_be_id(who.customer_id, text[max(0, at - 40) : at]):
                start = max(at, 0)
                yield Evidence(
                    kind="customer_id",
                    value=who.customer_id,
                    start=start,
                    end=start + len(who.customer_id),
                    alternatives=(who.customer_id.upper(),) if who.customer_id != who.customer_id.upper() else (),
                )
            continue
        if not who.name:
            continue
        name = normalise_name(who.name)
        at = max(0, text.lower().find(who.name.lower()))
        shape = next((span for span in names if span.start <= at < span.end), None)
        if shape is None and (follower := _one_more(words, at + len(who.name), known_words)) is not None:
            yield Evidence(kind="name", value=f"{who.name} {follower.text}", start=at, end=follower.end)
            continue
        if page.is_read(at):
            continue  # inside an address
        longer = next((other for other in shaped if other != name and _within(name, other)), None)
        if longer is None:
            twin = shaped.pop(name, None)
            spotted.add(name)
            yield Evidence(
                kind="name",
                value=twin.name if twin else who.name,  # with "Jr." where it was said
                start=twin.start if twin else at,
                end=twin.end if twin else at + len(who.name),
                speaker=bool(twin and twin.speaker),
                supplement=is_supplement(page.before(at)),
            )
        elif _begins_with_a_verb(shaped[longer], words, name, longer):
            del shaped[longer]
            yield Evidence(kind="name", value=who.name, start=at, end=at + len(who.name))
        # else: somebody with a longer name is meant, not the customer whose name is a part of it.
    for span in shaped.values():
        beside = identified or _is_beside(span, page)
        if span.partial and any(_within(normalise_name(span.name), name) for name in spotted):
            continue
        yield Evidence(
            kind="name",
            value=span.name,
            title=span.title,
            start=span.start,
            end=span.end,
            strength=Strength.WEAK if beside and span.name.islower() and not span.partial else span.strength,
            alternatives=span.alternatives,
            partial=span.partial,
            speaker=span.speaker,
            supplement=is_supplement(page.before(span.start)),
        )


def _one_more(words: Sequence[Word], end: int, known: Vocabulary) -> Word | None:
    """A word right behind a known name that makes it another person's: "ann lee king" is not Ann Lee."""
    plain = ENGLISH.common if known.language != "de" else known.common
    for before, word in pairwise(words):
        if before.end == end:
            odd = word.low in FAMILY_NAMES or word.low not in (plain if word.capital else known.common)
            return word if odd and word.joined and word.capital == before.capital else None
    return None


def _is_beside(span: NameSpan, page: Page) -> bool:
    """Whether an address, a number or an id was read right before or behind: the name belongs to it."""
    before = page.left[max(0, span.start - 2) : span.start]
    behind = page.left[span.end : span.end + 2]
    return page.is_read(span.start - len(before)) or (len(behind) > 1 and page.is_read(span.end + 1))


def _within(name: str, longer: str) -> bool:
    return f" {name} " in f" {longer} "


def _begins_with_a_verb(span: NameSpan, words: Sequence[Word], name: str, longer: str) -> bool:
    first, _, rest = longer.partition(" ")
    noun = rest.partition(" ")
    begins = any(word.start == span.start and word.initial for word in words)
    plain = longer == f"{first} {name}" or (noun[0] in _OF and noun[2] == name)
    return plain and first not in GIVEN_NAMES and (begins or noun[0] in _OF)


def _distinct(found: Iterable[Evidence]) -> Iterator[Evidence]:
    seen: dict[tuple[str, str, str], Evidence] = {}
    for item in found:
        value = normalise_name(item.value) if item.kind == "name" else item.value.casefold()
        key = (item.kind, value or str(item.start), item.polarity)
        before = seen.get(key)
        if before is None or item.strength > before.strength:
            seen[key] = item
    yield from seen.values()


# --- the rest --------------------------------------------------------------------------------------------


def _births(text: str, dates: Sequence[FoundDate], names: Sequence[NameSpan]) -> Iterator[Evidence]:
    """Dates said to be a date of birth, else one right behind a name: "Edwina Hawthorne, 1980-04-12"."""
    ends = {span.end for span in names if not span.partial}
    born = [item for item in dates if item.born]
    if not born:
        born = [
            item
            for item in dates
            if (len(item.value) == 10 or _ENDS.match(text, item.end))
            and not item.value.startswith("--")
            and any(0 < item.start - end <= 5 and _BESIDE.fullmatch(text, end, item.start) for end in ends)
        ][:1]
    for item in born:
        yield Evidence(
            kind="date_of_birth",
            value=item.value,
            start=item.start,
            end=item.end,
            alternatives=item.alternatives,
        )


def _places(words: Sequence[Word], names: Sequence[NameSpan], known: Vocabulary, said: Said) -> Iterator[Evidence]:
    """ "Ann Lee from Leeds", "the one in York": where the customer is said to be."""
    ends = {span.end for span in names if not span.partial or span.strength}
    for i, word in enumerate(words[:-1]):
        if word.low not in _PLACE_WORDS or (word.low in _OF and known.language == "en"):
            continue
        behind = i
        while behind and words[behind - 1].low in _PLACE_WORDS:
            behind -= 1
        before = words[behind - 1] if behind else None
        if before is None or not (
            (before.end in ends and words[behind].start - before.end <= 3)
            or (
                before.low in _ONE
                and known.language == "en"
                and behind > 1
                and words[behind - 2].low in ("the", "that", "this")
            )
        ):
            continue
        place: list[Word] = []
        for follower in words[i + 1 : i + 1 + _PLACE_ENDS]:
            if place and not follower.joined:
                break
            if follower.low in known.common and not (follower.capital and follower.low not in known.never):
                break
            if place and place[0].capital and not follower.capital:
                break
            if follower.low in _BORN or follower.low in _PLACE_WORDS:
                break
            place.append(follower)
        if place and not any(part.low in THINGS for part in place):
            start, end = place[0].start, place[-1].end
            yield Evidence(kind="place", value=" ".join(part.text for part in place), start=start, end=end)


def _pronouns(words: Sequence[Word], known: Vocabulary) -> Iterator[Evidence]:
    for i, word in enumerate(words):
        if word.low in known.pronouns or (i > 0 and (words[i - 1].low, word.low) in _REFERENCES):
            yield Evidence(kind="pronoun", value=word.low, start=word.start, end=word.end, polarity="reference")
            return


def _with_polarity(evidence: Sequence[Evidence], said: Said) -> list[Evidence]:
    """Negated where the message rules it out, corrected where it stands behind "I meant"; then what stands before is
    taken back."""
    corrected_at = said.last_correction()
    kinds = {
        e.kind for e in evidence if e.kind in KINDS and corrected_at >= 0 and e.start >= corrected_at and e.strength
    }
    found = []
    for item in evidence:
        if item.polarity == "asserted" and item.start >= 0:
            if item.kind in (*KINDS, "date_of_birth", "place") and said.is_negated(item.start):
                item = replace(item, polarity="negated")
            elif 0 <= corrected_at <= item.start:
                item = replace(item, polarity="corrected")
            elif corrected_at >= 0 and item.kind in kinds and item.end <= corrected_at:
                item = replace(item, polarity="negated")
        found.append(item)
    return found
