"""What one message says of the customer: evidence with its kind, span, polarity and strength."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property, lru_cache
from typing import Final

from tilores_core.chat.customer.contacts import as_evidence, find_emails, find_parts, find_phones
from tilores_core.chat.customer.dates import BESIDE_DIGITS, DATE_WORDS, FoundDate, find_dates
from tilores_core.chat.customer.fluency import fluent, is_disfluent, spelled_names
from tilores_core.chat.customer.ids import find_ids
from tilores_core.chat.customer.mentioned import name_evidence, says_parts, with_parts_joined, with_writers
from tilores_core.chat.customer.names import find_names
from tilores_core.chat.customer.numbers import number_language, with_figures
from tilores_core.chat.customer.places import LIVES_IN, ONE, with_places
from tilores_core.chat.customer.references import LONGEST_REPLY, REFERENCE_WORDS, beside, references
from tilores_core.chat.customer.said import Said
from tilores_core.chat.customer.spans import NameSpan, may_begin_name
from tilores_core.chat.customer.tokens import TextScan, Word, split_words
from tilores_core.chat.customer.unmarked import (
    MOST_DATES,
    around_number,
    bare_numbers,
    beside_contacts,
    births,
    find_corrected_number,
)
from tilores_core.chat.customer.words import (
    LANGUAGES,
    NAMES_TOO,
    Vocabulary,
    keywords,
    language_of,
    vocabulary,
)
from tilores_core.contracts import Evidence, Identifiers, Strength
from tilores_core.identity import Locale, normalise_name
from tilores_core.identity.mentions import LONGEST_SPOTTED, MOST_SPOTTED

LONGEST_TEXT = 8_000
"""Characters read of one message, counted from its end."""
MOST_MENTIONS = 8
KINDS: Final = ("customer_id", "email", "phone", "name")
"""What identifies a customer, the strongest first."""

_SPACES = str.maketrans({"\t": " ", "\u00a0": " ", "\u202f": " ", "\u2007": " ", "\r": "\n"})
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]")
_SPELLED = re.compile(r"(?<![\w\-'’])(?:[^\W\d_]-){2,}[^\W\d_](?![\w\-])")
_GENERATION = re.compile(r"(?<=[^\W\d_] )([js])(?:un|en)\.(?! ?\d)", re.IGNORECASE)  # "Karl Kaiser jun."
_LETTER_BETWEEN = re.compile(r"-[^\W\d_]-")
_YOUNGEST: Final = 12  # years, of somebody whose date of birth is said without saying so
_REFERRING: Final = keywords(("this", "the", "that", "same"))
_REFERRED: Final = keywords(("customer", "client", "caller", "person"))
_ANY_REFERENCE: Final = REFERENCE_WORDS.union(
    ONE, LIVES_IN.words, _REFERRED, *(vocabulary(language).pronouns for language in LANGUAGES)
)
_CONTRACTED: Final = frozenset(["s", "t", "d", "ll", "m", "re", "ve", "e", "th", "st", "nd", "rd"])  # also "e-mail"
_WRITING: Final = frozenset(("speaking", "colleague", "agent"))
_OWNER = re.compile(r"(?:(?:^|and|about|for|of|no,?)[ ]|^)([^\W\d_]+)['’]s", re.IGNORECASE)
_CAPITAL = re.compile(r"[^\W\d_a-zß-ÿ][^\W\d_]*")
_ASCII_CAPITAL = re.compile("[A-Z][A-Za-z]*")  # the same, in a third of the time


@dataclass
class Reading:
    """One message read. `asked` is what the assistant had said just before it."""

    text: str = ""
    evidence: tuple[Evidence, ...] = ()
    dates: tuple[str, ...] = ()
    asked: str = ""
    alone: bool = False
    said: Said = field(default_factory=lambda: Said(TextScan("")), compare=False)
    language: str = "en"

    @cached_property
    def found(self) -> tuple[Evidence, ...]:
        """The evidence that identifies a customer, the strongest first."""
        naming = [item for item in self.evidence if item.kind in KINDS and item.value]
        naming.sort(key=lambda item: (-item.strength, item.speaker, KINDS.index(item.kind)))
        return tuple(naming[:MOST_MENTIONS])

    @cached_property
    def born(self) -> tuple[Evidence, ...]:
        return self.of_kind("date_of_birth")

    @property
    def date_of_birth(self) -> str | None:
        """A whole date that is said to be a date of birth."""
        whole = [item.value for item in self.born if len(item.value) == 10]
        return whole[-1] if whole else None

    @property
    def refers_back(self) -> bool:
        return "pronoun" in self._kinds

    @cached_property
    def _kinds(self) -> frozenset[str]:
        return frozenset([item.kind for item in self.evidence])

    def of_kind(self, kind: str) -> tuple[Evidence, ...]:
        return tuple([item for item in self.evidence if item.kind == kind]) if kind in self._kinds else ()


def extract(
    text: str,
    asked: str = "",
    *,
    region: str,
    day_first: bool | None = None,
    mentions: Callable[[str], Sequence[Identifiers]] | None = None,
    today: date | None = None,
) -> Reading:
    """What `text` says of a customer, at most `MOST_MENTIONS` of those that identify one; of a long text the last
    `LONGEST_TEXT` characters are read.

    `region` (ISO 3166) is where phone numbers without a country code belong; it tells the order of day and month as
    well, unless `day_first` does. `mentions` spots customers that the source knows in a text; they count as
    strong. Raises nothing, whatever the text.
    """
    page = TextScan(readable(text))
    known = vocabulary(language_of(page.keywords, page.words))
    spelled: frozenset[str] = frozenset()
    if is_disfluent(page, known.language):
        page, spelled = fluent(page.text, known.language)
    plain, low = page.text, page.words
    figures = with_figures(page, number_language(page, known.language))
    if figures is not None:
        page = TextScan(figures.text, low)
    numeric, keys = page.numeric, page.keywords
    emails = find_emails(page)
    dates: list[FoundDate] = []
    if page.numbered or not keys.isdisjoint(BESIDE_DIGITS if numeric else DATE_WORDS):
        today = today or date.today()
        dates = find_dates(page, Locale.of(region).day_first if day_first is None else day_first, today)
    for item in dates:
        if item.born or len(item.value) == 10:
            page.blank(item.start, item.end)
    phones = find_phones(page, region) if numeric else []
    ids = find_ids(page, phones) if page.marked else []
    parts = find_parts(page, phones) if numeric and not ids else []
    for part in parts:
        if part.strength:
            page.blank(part.start, part.end)
    spotted = mentions(plain) if mentions is not None else ()
    if ids and mentions is not None and len(plain) <= LONGEST_SPOTTED and len(spotted) < MOST_SPOTTED:
        if page.words_left() <= around_number(known.language)[0]:  # all that is said: no model or quarter
            ids = [item._replace(strength=max(item.strength, Strength.WEAK)) for item in ids]
        own = {who.customer_id.casefold() for who in spotted if who.customer_id} if spotted else ()
        ids = [item for item in ids if item.strength or item.value.isdecimal() or item.value.casefold() in own]
    if page.codes and not spotted:
        page.blank_codes()
    words: list[Word] = []
    names: list[NameSpan] = []
    contacts = [*emails, *phones, *parts, *ids]
    if spotted or _may_name(page, known, sure=bool(spelled or contacts)):
        words = split_words(page, elided=known.language in ("fr", "it"))
        names = find_names(words, known)
        if names and says_parts(keys):
            names = with_parts_joined(page.left, names)
        if spelled:
            names += spelled_names(words, names, spelled)
    if contacts:
        names += beside_contacts(page, words, names, contacts, known)

    said = Said(page, known.language, dated=bool(dates) and any(len(item.value) == 10 for item in dates))
    evidence = [as_evidence(item) for item in contacts] if contacts else []
    if names or spotted:
        evidence += name_evidence(names, words, spotted, page, known, identified=bool(emails or phones or ids))
        if "\n" in plain or ":" in plain or not _WRITING.isdisjoint(low):
            evidence = [*with_writers(evidence, page)]
    if said.may_deny:
        said.correct_at_no([*evidence, *dates])
    if page.numbered or ids or phones or dates:
        spans = [(e.start, e.end) for e in evidence if e.kind == "name" and not e.partial]
        if page.numbered:
            evidence += bare_numbers(page, spans, known, said)
        if ids or phones:
            evidence += find_corrected_number(ids, phones, said)
        if dates and today:
            evidence += births(page, dates, spans, [*emails, *phones, *ids], said, today.year - _YOUNGEST)
    refers = bool(evidence or words) or len(low) <= LONGEST_REPLY or "'s" in said.low
    if (keys or numeric or "," in plain or "(" in plain) and (refers or not _ANY_REFERENCE.isdisjoint(keys)):
        evidence = _with_references(evidence, words, names, known, said)
    if len(evidence) > 1 or said.may_deny:
        evidence = _distinct(_with_polarity(evidence, said))
    if figures is not None:
        evidence = [replace(e, start=figures.origin(e.start), end=figures.origin(e.end)) for e in evidence]
    days = tuple(dict.fromkeys([item.value for item in dates if item.value]))[-MOST_DATES:] if dates else ()
    alone = bool(names) and any(span.alone for span in names)
    return Reading(page.text, tuple(evidence), days, asked, alone, said, known.language)


def _with_references(
    evidence: list[Evidence], words: Sequence[Word], names: Sequence[NameSpan], known: Vocabulary, said: Said
) -> list[Evidence]:
    """The evidence with places, and what the message refers to."""
    evidence = with_places(evidence, words, names, known, said)
    evidence += references(said)
    if evidence:
        evidence += beside(said, [item for item in evidence if item.kind in KINDS])
    keys = said.keywords
    if not known.pronouns.isdisjoint(keys) or not _REFERRED.isdisjoint(keys):
        evidence += _pronouns(said.low, keys, known)
    return evidence


def readable(text: str) -> str:
    """The part of `text` that is read, composed, with plain spaces; a text all in capitals in lower case."""
    text = text.strip()
    if len(text) > LONGEST_TEXT:
        text = text[-LONGEST_TEXT:]
        # The first word may be half of one; no name or number must be made of its rest.
        text = text.partition(" ")[2] or text
    if not text.isascii() and not unicodedata.is_normalized("NFC", text):
        text = unicodedata.normalize("NFC", text)
    if not text.isprintable():  # which no invisible character is, and no space but the usual one
        text = unicodedata.normalize("NFC", _INVISIBLE.sub("", text)).translate(_SPACES).strip()
    if "un." in text or "en." in text:
        text = _GENERATION.sub(r"\1r. ", text)
    if "-" in text and _LETTER_BETWEEN.search(text):
        text = _SPELLED.sub(lambda match: match[0].replace("-", ""), text)
    return text.lower() if text.isupper() and text.count(" ") > 2 else text


def _distinct(found: Iterable[Evidence]) -> list[Evidence]:
    seen: dict[tuple[str, str, str], Evidence] = {}
    for item in found:
        value = normalise_name(item.value) if item.kind == "name" else item.value.casefold()
        key = (item.kind, value or str(item.start), item.polarity)
        before = seen.get(key)
        if before is None or item.strength > before.strength:
            seen[key] = item
    return list(seen.values())


# --- the rest --------------------------------------------------------------------------------------------


def _pronouns(text: str, keys: frozenset[str], known: Vocabulary) -> list[Evidence]:
    """The first pronoun, or "this customer"; `text` is in lower case."""
    said = [*(known.pronouns & keys)]
    said += [f"{a} {b}" for b in _REFERRED & keys for a in _REFERRING & keys]
    places = [(match.start(), phrase) for phrase in said if (match := _whole(phrase).search(text))]
    if not places:
        return []
    start, phrase = min(places)
    return [Evidence(kind="pronoun", value=phrase, start=start, end=start + len(phrase), polarity="reference")]


@lru_cache(maxsize=256)
def _whole(phrase: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![^\W_]){re.escape(phrase)}(?![^\W_])")


def _may_name(page: TextScan, known: Vocabulary, *, sure: bool) -> bool:
    """Whether some word that is left may be of a name: else nothing is looked at word by word. `sure`: it is of one
    where it is not common."""
    low, left = page.words_left(), page.left
    strange = low - known.no_name
    capitals = _ASCII_CAPITAL if left.isascii() else _CAPITAL
    return (
        not NAMES_TOO.isdisjoint(strange)
        or not known.never.issuperset(map(str.lower, capitals.findall(left)))
        or ("s" in low and not known.never.issuperset(map(str.lower, _OWNER.findall(left))))
        or (not strange <= _CONTRACTED and (sure or may_begin_name(page, strange, known)))
    )


def _with_polarity(evidence: Sequence[Evidence], said: Said) -> list[Evidence]:
    """Negated where the message rules it out, corrected where it stands behind "I meant"; then what stands before is
    taken back."""
    corrected_at = said.last_correction()
    if corrected_at < 0 and not said.negated:
        return list(evidence)
    kinds = {
        e.kind
        for e in evidence
        if e.kind in (*KINDS, "date_of_birth", "place") and e.start >= corrected_at >= 0 and e.strength
    }
    faint = {e.kind for e in evidence if e.kind == "name" and e.start >= corrected_at >= 0}
    found = []
    for item in evidence:
        if item.polarity == "asserted" and item.start >= 0:
            if item.kind in (*KINDS, "date_of_birth", "place") and said.is_negated(item.start):
                item = replace(item, polarity="negated")
            elif 0 <= corrected_at <= item.start:
                item = replace(item, polarity="corrected")
            elif item.end <= corrected_at and (
                item.kind in (kinds if item.strength else kinds | faint)
                or (kinds and item.partial and not item.strength)
            ):
                item = replace(item, polarity="negated")
        found.append(item)
    return found
