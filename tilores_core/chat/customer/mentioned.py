"""The names in a message: those of the right shape, and those that the customer source knows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Final

from tilores_core.chat.customer.announced import is_supplement
from tilores_core.chat.customer.ids import may_be_id
from tilores_core.chat.customer.spans import NameSpan, stands_as_word
from tilores_core.chat.customer.tokens import TextScan, Word, cue_before
from tilores_core.chat.customer.words import (
    DETERMINERS,
    ENGLISH,
    FAMILY_NAMES,
    GIVEN_NAMES,
    OF,
    PARTICLES,
    TITLES,
    WORDS_TOO,
    Vocabulary,
    all_phrases,
    alternation,
    is_unknown,
    keywords,
)
from tilores_core.contracts import Evidence, Identifiers, Strength
from tilores_core.identity import normalise_name
from tilores_core.identity.names import GENERATIONS

_PART_IS: Final = r"(?:['’]s)?(?:[ ]?(?:is|ist|est|es|è|é|was|:|=)){0,2}[ ]+(?P<name>[^\W\d_]+(?:[-'’][^\W\d_]+)*"
_FIRST_NAME: Final = re.compile(rf"(?<![^\W_])(?:{alternation(all_phrases('first_name'))}){_PART_IS})", re.IGNORECASE)
_LAST_NAME: Final = re.compile(
    rf"(?<![^\W_])(?:{alternation(all_phrases('last_name'))}){_PART_IS}(?:(?<=van|von|der|den)[ ][^\W\d_]+){{0,2}})",
    re.IGNORECASE,
)
_LABELLED: Final = (":", "=", " by", "colleague", "agent")
_DESK: Final = re.compile(
    r"(?<![^\W_])(?:assignee|assigned to|agente?|account manager|handled by|created by|opened by|owner|bearbeiter)"
    r"[\"']?\s?[:=]$|(?<![^\W_])(?:my colleague|agent)$"
)
_REPORTS: Final = re.compile(
    r"(?:^|[\n,{])[ \"']*(?:reporter|reported by|sender|forwarded by|gemeldet von)[\"']?\s?[:=]?$"
)
_CLOSING: Final = re.compile(
    r"\W*(?:(?:kind|best|warm|many|with kind) )?(?:regards|wishes|sincerely|yours(?: \w+)?|cheers|thanks|"
    r"thank you|best|(?:(?:mit )?(?:freundlichen|vielen|beste|viele|liebe|schöne) )?(?:grüßen?|gruß|dank)|"
    r"cordialement|merci|bien à vous|(?:cordiali )?saluti|(?:un )?saludos?|atentamente|groeten?|--)[ ,.!]*"
)
_FIRST_PARTS: Final = keywords(entry.split()[0] for entry in all_phrases("first_name"))
_BORN: Final = frozenset(phrase.split()[0] for phrase in all_phrases("born"))
_SUFFIXES: Final = GENERATIONS.keys() - {"second", "third", "fourth", "elder", "younger"}
_ONLY_GIVEN: Final = GIVEN_NAMES - WORDS_TOO


def says_parts(keywords: frozenset[str]) -> bool:
    """A cheap test for "first name Tom, last name Fern"."""
    return not _FIRST_PARTS.isdisjoint(keywords)


def with_parts_joined(text: str, names: list[NameSpan]) -> list[NameSpan]:
    """ "first name Tom, last name Fern" is one name."""
    first, last = _FIRST_NAME.search(text), _LAST_NAME.search(text)
    titled = [span for span in names if span.partial and span.title]
    if first is not None and last is None and len(titled) == 1:  # "Ms Roe, first name Jane"
        family = titled[0]
        whole = family._replace(name=f"{first['name']} {family.name}", strength=Strength.STRONG, partial=False)
        return [whole, *(s for s in names if s is not family and not s.start <= first.start("name") < s.end)]
    if first is None or last is None or first.start("name") == last.start("name"):
        return names
    start = min(first.start("name"), last.start("name"))
    end = max(first.end("name"), last.end("name"))
    whole = NameSpan(f"{first['name']} {last['name']}", start, end, Strength.STRONG)
    return [*(span for span in names if span.end <= start or span.start >= end), whole]


def name_evidence(
    names: Sequence[NameSpan],
    words: Sequence[Word],
    known: Sequence[Identifiers],
    page: TextScan,
    known_words: Vocabulary,
    *,
    identified: bool,
) -> Iterator[Evidence]:
    """Names by their shape and those that the source knows, each person once."""
    text = page.text
    shaped = {normalise_name(span.name): span for span in names}
    spotted: set[str] = set()
    covered: list[tuple[int, int]] = []
    for who in known:
        if who.customer_id:
            at = text.lower().find(who.customer_id.lower())
            said = text[at : at + len(who.customer_id)]
            word = said.lower() in known_words.never and not said.isupper()  # "customer id or name"
            if at in page.taken_back:
                continue
            if at < 0 or (may_be_id(who.customer_id, page, at) and not word):
                start = max(at, 0)
                yield Evidence(
                    kind="customer_id",
                    value=who.customer_id,
                    start=start,
                    end=start + len(who.customer_id),
                    alternatives=(who.customer_id.upper(),) if who.customer_id != who.customer_id.upper() else (),
                )
            continue
        given, _, others = (who.name or "").partition(", ")
        if " " in others and GIVEN_NAMES.issuperset((given.lower(), others.split()[0].lower())):
            who = replace(who, name=others)  # "not Gareth, Gwen Pugh"
        if not who.name:
            continue
        name = normalise_name(who.name)
        at = max(0, text.lower().find(who.name.lower()))
        shape = next((span for span in names if span.start <= at < span.end), None)
        i = next((n for n, word in enumerate(words) if word.start == at), -1)
        first = words[i - 1] if i > 0 else None
        if shape is not None and says_parts(page.keywords) and shape.name not in text:
            continue  # "first name Tom, last name Fern"
        if i >= 0 and _is_phrase(who.name, i, page.text, words, known_words):
            continue  # "the grace period"
        if shape is None and (follower := _find_extra_name(words, at + len(who.name), known_words)) is not None:
            yield Evidence(kind="name", value=f"{who.name} {follower.text}", start=at, end=follower.end)
            continue
        if shape is None and first is not None and words[i].joined and first.low in _ONLY_GIVEN:  # "lee ann burke"
            yield Evidence(kind="name", value=f"{first.text} {who.name}", start=first.start, end=at + len(who.name))
            continue
        if page.is_read(at):
            continue  # inside an address
        longer = next((other for other in shaped if other != name and _within(name, other)), None)
        if longer is None and shape is not None and shape.end >= at + len(who.name):
            covering = normalise_name(shape.name)  # "van der Berg, Anna" where "Berg, Anna" was spotted
            longer = covering if covering in shaped and set(name.split()) < set(covering.split()) else None
        before, _, rest = (longer or "").partition(" ")
        if longer is not None and before in OF and rest == name and name.split()[0] in GIVEN_NAMES:
            shaped[name] = shaped.pop(longer)._replace(name=who.name, alternatives=())  # "saldo di giovanni de luca"
            longer = None
        if longer is not None and PARTICLES.issuperset(set(longer.split()) - set(name.split())):
            name, longer = longer, None  # "de vries petra", of which "vries petra" is known
        if longer is None:
            twin = shaped.pop(name, None)
            title = first.low if first and first.low in TITLES else ""  # "Herr Rosa Montag", hidden by a weekday
            suffix = _suffix(words, at + len(who.name))
            covered.append((at, at + len(who.name) + len(suffix)))
            spotted.add(name)
            yield Evidence(
                kind="name",
                value=twin.name if twin else f"{who.name}{suffix}",  # with "Jr." where it was said
                start=twin.start if twin else at,
                end=twin.end if twin else at + len(who.name) + len(suffix),
                alternatives=_with_particles(who.name, at, words),
                title=twin.title if twin else title,
                speaker=twin.speaker if twin else i > 0 and cue_before(words, i, known_words) == "speaker",
                supplement=is_supplement(page, at),
            )
        elif _begins_with_a_verb(shaped[longer], words, name, longer):
            del shaped[longer]
            yield Evidence(kind="name", value=who.name, start=at, end=at + len(who.name))
        # else: a person with a longer name is meant, not the customer whose name is a part of it.
    for span in shaped.values():
        beside = identified or _is_beside(span, page)
        if span.partial and any(_within(normalise_name(span.name), name) for name in spotted):
            continue
        if any(start <= span.start and span.end <= end for start, end in covered):
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
            supplement=is_supplement(page, span.start),
        )


def with_writers(evidence: Sequence[Evidence], page: TextScan) -> Iterator[Evidence]:
    """The evidence without the desk's own people ("agent: Ann Lee"); who signs or reports speaks."""
    for item in evidence:
        before = page.low[: item.start].rstrip(" \"'") if item.kind == "name" else ""
        signs = page.low.startswith(" speaking", item.end)
        if before.endswith("\n"):
            signs = signs or _CLOSING.fullmatch(before.rstrip().rpartition("\n")[2]) is not None
        elif before.endswith(_LABELLED):
            if _DESK.search(before):
                continue
            signs = signs or _REPORTS.search(before) is not None
        yield replace(item, speaker=True) if signs and item.kind == "name" else item


def _is_phrase(name: str, i: int, text: str, words: Sequence[Word], known: Vocabulary) -> bool:
    """Whether words that are also a customer's name are not meant as one: "is the bill due", "grace period"."""
    spelling = name.split()
    at = words[i].start
    written = text[at : at + len(name)]
    plain = [word.lower().strip(",'’") for word in spelling]
    person = plain[0] in GIVEN_NAMES or any(word in GIVEN_NAMES and word not in WORDS_TOO for word in plain)
    unknown = any(is_unknown(word) and word not in GIVEN_NAMES for word in plain)
    before = words[i - 1].low if i and words[i].joined else ""
    j = next((n for n in range(i, len(words)) if words[n].end >= at + len(name)), i)
    behind = words[j + 1] if j + 1 < len(words) else None
    if stands_as_word(words, i, j, known):
        return True
    if not unknown and before in DETERMINERS:
        return True
    if unknown:
        return False
    if written != written.lower() or words[j].owner or before in known.prepositions or cue_before(words, i, known):
        return False
    if (not person and "," in text[at : words[j].start]) or (behind is not None and behind.low in OF | DETERMINERS):
        return True
    alone = i == 0 and behind is None
    framed = behind is not None and (
        behind.low in known.subjects or behind.low in known.followers or behind.low in _BORN
    )
    return not (person or alone or framed)


def _suffix(words: Sequence[Word], end: int) -> str:
    i = _next(words, end)
    said = i < len(words) and words[i].joined and words[i].low in _SUFFIXES
    return f" {words[i].text}" if said else ""


def _next(words: Sequence[Word], end: int) -> int:
    return next((n for n, word in enumerate(words) if word.start >= end), len(words))


def _with_particles(name: str, at: int, words: Sequence[Word]) -> tuple[str, ...]:
    """ "de Vries, Petra" where "Vries, Petra" is a known name."""
    hyphened = next((word.text[: at - word.start] for word in words if word.start < at < word.end), None)
    if hyphened is not None and PARTICLES.issuperset(hyphened.lower().split("-")[:-1]):
        return (f"{hyphened}{name}",)  # "al-Rashid, Mohammed"
    before: list[str] = []
    for word in reversed(words[: _next(words, at)]):
        if word.low not in PARTICLES or word.low in ("e", "y", "san", "st"):
            break
        before.insert(0, word.text)
    return (f"{' '.join(before)} {name}",) if before else ()


def _find_extra_name(words: Sequence[Word], end: int, known: Vocabulary) -> Word | None:
    """A word right behind a known name that makes it another person's: "ann lee king" is not Ann Lee."""
    plain = ENGLISH.common if known.language != "de" else known.common
    for before, word in pairwise(words):
        if before.end == end:
            odd = word.low in FAMILY_NAMES or word.low not in (plain if word.capital else known.common)
            return (
                word
                if odd and word.low not in GENERATIONS and word.joined and word.capital == before.capital
                else None
            )
    return None


def _is_beside(span: NameSpan, page: TextScan) -> bool:
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
    plain = longer == f"{first} {name}" or (noun[0] in OF and noun[2] == name)
    return plain and first not in GIVEN_NAMES and (begins or noun[0] in OF)
