"""Names and ids of known customers in free text."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final

from tilores_core.contracts import Identifiers
from tilores_core.identity.names import ascii_words, fold_both, pair_key

Known = Callable[[str], bool]

LONGEST_SPOTTED = 3_000
"""Characters read of one text, counted from its end."""
MOST_SPOTTED = 20
_MOST_TRIED = 200  # words with digits looked up
_WIDEST_CUE = 40  # characters before "number 7" that are looked at
_WIDEST_GAP = 3  # "Edwina Rose May Hawthorne": two middle names between

_WORD = re.compile(r"[^\W_]+(?:['’ʼ][^\W_]+)*")
_APOSTROPHE = re.compile(r"['’ʼ]")
_POSSESSIVE = re.compile(r"['’ʼ]s$", re.IGNORECASE)

# A word with a digit or an underscore may be an id wherever it stands.
_MARKED = re.compile(r"(?<!\S)[^\s\d_]*+\S+")
_OTHER_MARK = re.compile(r"[^\x00-\x7f](?<=[\d\s])")
_MARKS = bytes(ord(" " if chr(c).isspace() else "0" if chr(c) in "0123456789_" else "a") for c in range(256))
# A bare number or word may be one, too, but only where the text says that a customer's id follows: "customer 1001".
_ANNOUNCED = re.compile(
    r"(?:(?P<owner>\b(?:customer|client|member|user|person)\b)(?:'?s)?[\s_-]?)?"
    r"(?P<number>\b(?:id|number|no|ref|reference)\b|#)?[\s.:#'\"=]*(?P<is>is\s+)?(?P<id>\b\w[\w\-./:@+]*)"
)
_LAST_WORD = re.compile(r"([^\W_]+(?:['’]s)?)\s*[(\[]?$")
_OWNERS: Final = frozenset(("customer", "client", "member", "user", "person"))
_ANNOUNCING: Final = _OWNERS.union(("id", "number", "no", "ref", "reference"))
"""Beginnings of `_ANNOUNCED`, beside "#"."""
BEFORE_NUMBER: Final = frozenset(
    (
        *("is", "it's", "the", "a", "for", "of", "with", "has", "about", "and", "or", "by", "under"),
        *("to", "on", "his", "her", "their", "my", "your", "whose", "customer", "client", "member"),
        *("user", "person", "entity", "not", "customer's", "client's", "member's", "pull", "show"),
        *("find", "me", "open", "up", "check", "get", "please", "correct", "right", "meant", "mean"),
        *("sorry", "in", "from", "that", "this", "hello", "hi", "no", "was"),
    )
)
"""Words before "number 7", "id 7" or "#7" that leave it a customer's number; behind a noun it is that thing's."""
_AROUND = ".,;:!?'\"’()[]{}<>#"


def find_mentions(text: str, *, is_word: Known, is_name: Known, is_id: Known) -> list[Identifiers]:
    """Customers mentioned in `text`, in order, at most 20; of a very long text the last 3,000 characters are read.

    `is_word` knows single words of names (as `name_words` gives them) and keeps most words from going further;
    `is_name` knows `name_keys`; `is_id` knows ids in casefolded spelling. All three must answer without I/O.
    Names are found by given and family name in either order, in any case.
    """
    text = text[-LONGEST_SPOTTED:]
    plain = ascii_words(text) if text.isascii() else None
    found = _ids(text, is_id, _ANNOUNCING if plain is None else _ANNOUNCING.intersection(plain))
    fewest = 1 if "'" in text else 2  # O'Brien is two words here
    if plain is not None and sum(map(is_word, plain)) < fewest and not found:
        return []  # which is most texts, and takes a tenth of what follows
    names = _names(text, is_word, is_name)
    found += [name for name in names if all(name[1] <= start or name[0] >= end for start, end, _ in found)]
    found.sort(key=lambda item: item[0])
    return list(dict.fromkeys(who for _, _, who in found))[:MOST_SPOTTED]


@lru_cache(maxsize=2)  # the host reads a message, then perhaps with figures, and its source reads it again
def marked_words(text: str) -> Sequence[tuple[int, int]]:
    """Where the words begin and end, parted by spaces of any kind, that have a digit or an underscore."""
    if text.isascii():
        encoded = text.encode()
    elif _OTHER_MARK.search(text):
        return [match.span() for match in _MARKED.finditer(text)]
    else:
        encoded = text.encode("ascii", "replace")
    found = []
    marks = encoded.translate(_MARKS)  # in a tenth of the time that a pattern takes
    at = marks.find(b"0")
    while at >= 0:
        end = marks.find(b" ", at)
        found.append((marks.rfind(b" ", 0, at) + 1, end if end > 0 else len(marks)))
        at = marks.find(b"0", end) if end > 0 else -1
    return found


def _ids(text: str, is_id: Known, announcing: frozenset[str]) -> list[tuple[int, int, Identifiers]]:
    found = {}
    marked = marked_words(text)
    for begin, end in marked[:_MOST_TRIED]:
        bare = text[begin:end].strip(_AROUND)
        if bare[-1:] in ("s", "S"):
            bare = _POSSESSIVE.sub("", bare).rstrip(_AROUND)
        if not bare.isdigit() and is_id(bare.casefold()):
            start = text.index(bare, begin)
            found[start] = (start, start + len(bare), Identifiers(customer_id=bare))
    if "#" in text:
        announcing |= {"#"}
    owned = not announcing.isdisjoint(_OWNERS)
    if not announcing or (not marked and text.isascii() and (not owned or announcing <= _OWNERS)):
        return list(found.values())  # without digits only "customer id" announces one
    low = text.lower()
    if len(low) != len(text):
        low = "".join(c.lower()[0] for c in text)
    starts: set[int] = set()
    for word in announcing:
        at = low.find(word)
        while at >= 0:
            starts.add(at)
            at = low.find(word, at + 1)
    for start in sorted(starts)[:_MOST_TRIED]:
        if not owned and _follows_noun(low[start - _WIDEST_CUE if start > _WIDEST_CUE else 0 : start]):
            continue
        cued = _ANNOUNCED.match(low, start)
        if cued is None:
            continue
        position, end = cued.span("id")
        word = text[position:end].rstrip(_AROUND)
        if not word or not is_id(word.casefold()):
            continue
        owner, number = cued["owner"], cued["number"]
        if not (owner or number):
            continue
        before = None if owner else _LAST_WORD.search(low, max(0, start - _WIDEST_CUE), start)
        if before and before[1] not in BEFORE_NUMBER and not _POSSESSIVE.search(before[1]):
            continue
        sure = owner is not None and number not in (None, "#", "no")
        if sure or any(c.isdigit() for c in word):
            found[position] = (position, position + len(word), Identifiers(customer_id=word))
    return list(found.values())


def _follows_noun(before: str) -> bool:
    """Whether the text before a number ends with a word that says what it is of, and a space: "order "."""
    last = before[:-1].rpartition(" ")[2]
    return before[-1:] == " " and last.isalpha() and last not in BEFORE_NUMBER


def _names(text: str, is_word: Known, is_name: Known) -> list[tuple[int, int, Identifiers]]:
    words = [(match[0], match.start()) for match in _WORD.finditer(text)]
    # Most words of a question are not in a customer's name; the loop below looks at the few that are.
    forms = {i: known for i, (word, _) in enumerate(words) if (known := _forms(word, is_word))}
    found = []
    reached = -1
    for position in forms:
        last = _last_of_name(words, forms, position, is_name) if position > reached else None
        if last is None:
            continue
        start = words[position][1]
        end = words[last][1] + len(_POSSESSIVE.sub("", words[last][0]))
        found.append((start, end, Identifiers(name=" ".join(text[start:end].split()))))
        reached = last
    return found


def _forms(word: str, is_word: Known) -> tuple[str, ...]:
    if word.isascii() and word.isalnum():
        word = word.lower()
        return (word,) if is_word(word) else ()
    return tuple(form for form in fold_both(_APOSTROPHE.sub("", _POSSESSIVE.sub("", word))) if is_word(form))


def _last_of_name(
    words: list[tuple[str, int]], forms: dict[int, tuple[str, ...]], position: int, is_name: Known
) -> int | None:
    """The position of the last word of the name that begins at `position`, or None."""
    found = None
    for last in range(position + 1, min(position + 1 + _WIDEST_GAP, len(words))):
        # "Lucas Pereira da Silva" goes on behind Pereira, "Ann Lee, Ann King" does not behind Lee.
        if found is not None and words[last][1] != words[last - 1][1] + len(words[last - 1][0]) + 1:
            break
        if any(is_name(pair_key(a, b)) for a in forms[position] for b in forms.get(last, ())):
            found = last
        between = words[last][0]
        if not (last in forms or len(between) == 1 or between[0].isupper()):
            break
    return found
