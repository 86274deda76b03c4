"""Whom a text names: e-mail addresses, phone numbers, ids, names and dates of birth."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence

from tilores_core.chat.customer.contacts import Found, Page, find_dates, find_emails, find_ids, find_phones
from tilores_core.chat.customer.mention import KINDS, Mention, Mentions, Rank, Strength
from tilores_core.chat.customer.names import NameSpan, find_names
from tilores_core.chat.customer.tokens import Word, split_words
from tilores_core.chat.customer.words import GIVEN_NAMES, REFERRING
from tilores_core.contracts import Identifiers
from tilores_core.identity import normalise_name

__all__ = ["LONGEST_TEXT", "MOST_MENTIONS", "Mention", "Mentions", "Rank", "Strength", "extract"]

LONGEST_TEXT = 8_000
"""Characters read of one message, counted from its end."""
MOST_MENTIONS = 8
_MOST_DATES = 4

_SPACES = str.maketrans({"\t": " ", "\u00a0": " ", "\u202f": " ", "\u2007": " ", "\r": "\n"})
_BESIDE = re.compile(r"(?:['’]s)?[ ,;:(\-–]{1,3}")
_DIGIT = re.compile(r"\d")
_BARE_NUMBER = re.compile(r"#?(\d{3,20})[.!?]?", re.ASCII)
_REFERENCES = {(a, b) for a in ("this", "the", "that", "same") for b in ("customer", "client", "caller", "person")}


def extract(text: str, *, region: str, mentions: Sequence[Identifiers] = ()) -> Mentions:
    """Whom `text` names, at most `MOST_MENTIONS`; of a long text the last `LONGEST_TEXT` characters are read.

    `region` (ISO 3166) is where phone numbers without a country code belong. `mentions`: customers that the source
    spotted in the same text; they count as strong. Raises nothing, whatever the text.
    """
    page = Page(readable(text))
    numeric = _DIGIT.search(page.text) is not None
    emails = find_emails(page)
    dates = find_dates(page, region) if numeric else []
    phones = find_phones(page, region) if numeric else []
    ids = find_ids(page, phones) if numeric or "_" in page.text else []
    words = split_words(page.left)
    names = find_names(words)

    found = [_contact(item) for item in (*emails, *phones, *ids)]
    found += _alone_number(page.text)
    found += _merged(names, words, mentions)
    found.sort(key=lambda mention: (-mention.strength, mention.rank, KINDS.index(mention.kind)))
    return Mentions(
        found=tuple(_distinct(found))[:MOST_MENTIONS],
        date_of_birth=_date_of_birth(page.text, dates, names),
        dates=tuple(dict.fromkeys(item.value for item in dates))[-_MOST_DATES:],
        refers_back=_refers_back(words),
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


def _contact(item: Found) -> Mention:
    if item.kind == "email":
        return Mention((Identifiers(email=item.value),), item.strength)
    if item.kind == "phone":
        return Mention((Identifiers(phone=item.value),), item.strength)
    readings = [Identifiers(customer_id=value) for value in dict.fromkeys((item.value, item.value.upper()))]
    if item.phone:
        readings.append(Identifiers(phone=item.phone))
    return Mention(tuple(readings), item.strength)


def _alone_number(text: str) -> Iterator[Mention]:
    if number := _BARE_NUMBER.fullmatch(text):
        yield Mention((Identifiers(customer_id=number[1]),), Strength.FAINT, rank=Rank.BARE, alone=True)


# --- names -----------------------------------------------------------------------------------------------


def _merged(names: Sequence[NameSpan], words: Sequence[Word], known: Sequence[Identifiers]) -> Iterator[Mention]:
    """Names by their shape and those that the source knows, each person once."""
    shaped = {normalise_name(span.name): span for span in names}
    for who in known:
        if not who.name or who.customer_id or who.email or who.phone:
            if who:
                yield Mention((who,), Strength.STRONG)
            continue
        name = normalise_name(who.name)
        longer = next((other for other in shaped if other != name and _within(name, other)), None)
        if longer is None:
            twin = shaped.pop(name, None)
            yield Mention((who,), Strength.STRONG, rank=twin.rank if twin else Rank.BARE)
        elif _begins_with_a_verb(shaped[longer], words, name, longer):
            del shaped[longer]
            yield Mention((who,), Strength.STRONG, rank=Rank.CUED)
        # else: somebody with a longer name is meant, not the customer whose name is a part of it.
    for span in shaped.values():
        yield Mention(
            (Identifiers(name=span.name),),
            span.strength,
            rank=span.rank,
            partial=span.partial,
            alone=span.alone,
            person=span.person,
        )


def _within(name: str, longer: str) -> bool:
    return f" {name} " in f" {longer} "


def _begins_with_a_verb(span: NameSpan, words: Sequence[Word], name: str, longer: str) -> bool:
    first = longer.partition(" ")[0]
    begins = any(word.start == span.start and word.initial for word in words)
    return begins and longer == f"{first} {name}" and first not in GIVEN_NAMES


def _distinct(found: Iterable[Mention]) -> Iterator[Mention]:
    seen: set[Identifiers] = set()
    for mention in found:
        if mention.readings[0] not in seen:
            seen.add(mention.readings[0])
            yield mention


# --- the rest --------------------------------------------------------------------------------------------


def _date_of_birth(text: str, dates: Sequence[Found], names: Sequence[NameSpan]) -> str | None:
    """A date said to be somebody's birth, else one right behind a name: "Edwina Hawthorne, 1980-04-12"."""
    born = [item.value for item in dates if item.strength is Strength.STRONG]
    if born:
        return born[-1]
    ends = {span.end for span in names if not span.partial}
    for item in dates:
        for end in ends:
            if 0 < item.start - end <= 5 and _BESIDE.fullmatch(text, end, item.start):
                return item.value
    return None


def _refers_back(words: Sequence[Word]) -> bool:
    return any(
        word.low in REFERRING or (i > 0 and (words[i - 1].low, word.low) in _REFERENCES)
        for i, word in enumerate(words)
    )
