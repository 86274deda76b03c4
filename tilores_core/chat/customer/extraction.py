"""What one message says of the customer: evidence with its kind, span, polarity and strength."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
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
    towns,
    with_other_towns,
)
from tilores_core.chat.customer.words import (
    FEATURES,
    FIRMS,
    LANGUAGES,
    NAMES_TOO,
    OF,
    THINGS,
    Phrases,
    Vocabulary,
    all_phrases,
    alternation,
    data_of,
    is_unknown,
    keywords,
    language_of,
    vocabulary,
    words_in_any,
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
_PLACE_WORDS: Final = keywords(words_in_any("places"))
_ONE: Final = keywords(data_of("en")["said"]["one"].split())
_THE_ONE: Final = re.compile(rf"\b(?:the|that|this) (?:{alternation(_ONE)})\b")
_BORN: Final = frozenset(word for phrase in all_phrases("born") for word in phrase.split())
_LIVES_IN: Final = Phrases("lives_in")
_LIVING: Final = re.compile(
    rf"(?:(?<![^\W_])(?P<lives>{alternation(all_phrases('lives_in'))})|^in)[ ](?P<place>[^\W\d_]+)(?=[ .,;?!]|$)"
)
_DOES: Final = re.compile(r"(?:does|do|did|where|is|who|which|what|if|can|could)\b")
_NO_PERSON: Final = FIRMS | FEATURES
_PLACE_ENDS: Final = 3  # words of the longest place
_REFERRING: Final = keywords(("this", "the", "that", "same"))
_REFERRED: Final = keywords(("customer", "client", "caller", "person"))
_ANY_REFERENCE: Final = REFERENCE_WORDS.union(
    _ONE, _LIVES_IN.words, _REFERRED, *(vocabulary(language).pronouns for language in LANGUAGES)
)
_CONTRACTED: Final = frozenset(["s", "t", "d", "ll", "m", "re", "ve", "e", "th", "st", "nd", "rd"])  # also "e-mail"
_FROM: Final = (" from ", " in ", " aus ", " de ", " di ", " uit ")
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
            evidence = [*with_writers(evidence, plain)]
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
    keys = said.keywords
    one = known.language == "en" and not _ONE.isdisjoint(keys)
    placed = (words or one) and not _PLACE_WORDS.isdisjoint(keys)
    if not words and placed and _THE_ONE.search(said.page.low):
        words = split_words(said.page)  # "the one in York"
    if said.low.startswith("in ") or not _LIVES_IN.words.isdisjoint(keys):
        evidence += _lives_in(said)
    places: list[Evidence] = []
    if placed and words:
        low = said.page.low  # "the carmen in tempe"
        ends = {
            n.end
            for n in names
            if not n.partial
            or n.strength
            or (n.person and low.startswith(_FROM, n.end))
            or low[: n.start].endswith("the ")
        }
        ends |= {e.end for e in evidence if e.kind == "name" and not e.partial}
        places += _places(words, ends, known, said) if one or ends else ()
    if evidence:
        places += towns(evidence, said.text)
    if places:
        places = [*with_other_towns(places, said)]
        firms = {e.start for e in evidence if e.kind == "name" and e.value.rpartition(" ")[2].lower() in _NO_PERSON}
        inside = [(e.start, e.end) for e in evidence if e.kind == "name" and not e.partial and e.start not in firms]
        places = [p for p in places if not any(start <= p.start < end for start, end in inside)]
        taken = {place.start for place in places}
        taken &= firms | {e.start for e in evidence if e.partial}
        evidence = [e for e in evidence if e.kind != "name" or e.start not in taken]
        evidence += places
    evidence += references(said)
    if evidence:
        evidence += beside(said, [item for item in evidence if item.kind in KINDS])
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


def _places(words: Sequence[Word], ends: Container[int], known: Vocabulary, said: Said) -> Iterator[Evidence]:
    """ "Ann Lee from Leeds", "the one in York": where the customer is said to be. `ends`: of names."""
    for i, word in enumerate(words[:-1]):
        if word.low not in _PLACE_WORDS or (word.low in OF and known.language == "en"):
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
        if len(place) > 1 and place[-1].low in FIRMS:
            place.pop()  # "Tom Fern from Northgate Ltd"
        if place and not any(part.low in THINGS and (part.low not in FEATURES or len(place) < 2) for part in place):
            start, end = place[0].start, place[-1].end
            yield Evidence(kind="place", value=" ".join(part.text for part in place), start=start, end=end)


def _lives_in(said: Said) -> Iterator[Evidence]:
    """ "She lives in Leeds", "the city is Leeds", "in Leeds", where no question begins the message."""
    alone = said.low.startswith("in ") and len(said.plain) <= _PLACE_ENDS
    if not alone and (not _LIVES_IN.may_be_in(said.keywords, said.plain) or _DOES.match(said.low)):
        return
    for match in _LIVING.finditer(said.low):
        if (match["lives"] or alone) and is_unknown(match["place"]):
            start, end = match.span("place")
            yield Evidence(kind="place", value=said.text[start:end], start=start, end=end)


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
