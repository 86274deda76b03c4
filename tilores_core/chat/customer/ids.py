"""Customer ids in free text: behind a cue, or of a shape that only ids have.

A number is a customer's id only where the text says so: behind "invoice", "room" or "claim" it is something else.
"""

from __future__ import annotations

import re
from typing import Final

from tilores_core.chat.customer.announced import THINGS, is_number_of_something, is_supplement
from tilores_core.chat.customer.contacts import LAST_WORD, MOST, Contact, first_of
from tilores_core.chat.customer.tokens import TextScan
from tilores_core.chat.customer.words import ENGLISH, LANGUAGES, LETTERS, data_of, is_unknown, keywords, words_in_any
from tilores_core.contracts import Strength
from tilores_core.identity.mentions import BEFORE_NUMBER

_DIGIT = re.compile(r"\d")
_OWNER: Final = "|".join(
    sorted(
        (re.escape(w).replace("_", "[ ]") for w in words_in_any("owner") | {"user", "entity"}), key=len, reverse=True
    )
)
_NUMBER: Final = "|".join(sorted(map(re.escape, words_in_any("number")), key=len, reverse=True))
_COMPOUNDS: Final = [word for lang in LANGUAGES for word in data_of(lang)["said"].get("compound", "").split()]
_COMPOUND: Final = "|".join(re.escape(word).replace("_", "[ ]") for word in _COMPOUNDS)
_IS: Final = r"(?:[ ]{0,2}(?:is|was|ist|lautet|est|es|è|é|:|=|\#)){0,2}[ ]{0,3}[\"'“(\[]?"
_CUED_ID = re.compile(
    rf"(?<![\w@.])(?:(?P<sure>{_COMPOUND}|(?:{_OWNER})(?:'?s)?[ _\-]?(?:{_NUMBER})(?![a-z])\.?)|"
    rf"(?P<bare>{_NUMBER}|\#)\.?|{_OWNER})"
    rf"[\"']?{_IS}(?P<id>\w[\w\-./:]{{0,63}})",
)
_ID_WORDS: Final = keywords(
    found[0]
    for owner in words_in_any("owner") | {"user", "entity"}
    for number in ("", *words_in_any("number"))
    for phrase in (f"{owner}{number}", f"{owner}s{number}", number, *_COMPOUNDS)
    if (found := LETTERS.findall(phrase))
)
"""With which a match of `_CUED_ID` begins, save for "#"."""
_OWNING: Final = _ID_WORDS - {
    word
    for word in words_in_any("number")
    if not any(phrase.startswith(word) for phrase in (*_COMPOUNDS, *_OWNER.split("|")))
}
"""Those of them that may say whose the number is."""
_ANOTHER_ID = re.compile(
    r"[ ]?(?:[,/&]|,?[ ](?:and|or|und|oder|et|ou|y|o|e|of)(?:[ ](?:was|is)[ ]it)?)[ ]?#?(\d{1,20})"
    r"(?![\w%€$£]|[.,\-]\d)(?![ ](?:[A-Z]|dollars|euros?))",
    re.ASCII,
)
# "3 0 0 1", "x k 42", "nb 42": an id that is said in parts
_IN_PARTS = re.compile(
    r"(?:\d{1,2}(?:[ ]\d{1,2}(?![\w%€$£]|[.,]\d)){1,9}|"
    r"[a-z](?:[ ][a-z](?![\w'’])){0,4}(?:[ ]\d{1,6}(?![\w%€$£]|[.,]\d)){1,6}|"
    r"[a-z]{2,3}[ ]\d{2,10}(?![\w%€$£]|[.,]\d))",
    re.ASCII,
)
_LETTERS_THEN_DIGITS = re.compile(r"^([a-z]+)(\d+)$")
_NEXT_WORD = re.compile(r"[ ]([^\W\d_]+)")
_SOMEBODYS_NUMBER = re.compile(r"\b(?:the|my|her|his|their|contact|caller['’]?s)[ ]$", re.IGNORECASE)
_LAST_POSSESSIVE = re.compile(r"['’]s?[ ]$")
_COUNTED = re.compile(
    r"[ ]?(?:%|(?:years?|months?|weeks?|days?|hours?|minutes?|times|percent|people|customers|clients)\b)",
    re.IGNORECASE,
)
_BARE_ID = re.compile(
    r"(?<![\w@./:+\-])(?:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|(?=[A-Za-z_\-]*\d|[A-Za-z\-]*_)[A-Za-z][A-Za-z0-9_\-]{2,63})"
    r"(?![\w@]|/\d)",
    re.ASCII,
)
_DASHED_ID = re.compile(r"(?<!\w)([a-z]{1,4}) (?:dash|hyphen) (\d{2,10})(?!\w)")
_DASHES: Final = keywords(("dash", "hyphen"))
_THING_PREFIX = re.compile(
    r"(?:inv|ord|tck|tkt|case|clm|po|ref|sr|txn|trx|pay|pol|doc|task|req|shp|rma|bkg)[_\-]?\d", re.IGNORECASE
)
_ID_PREPOSITIONS: Final = ("for", "of", "about", "on", "regarding", "does", "is", "has", "did", "was", "with")
_ID_PREPOSITION = re.compile(rf"\b(?:{'|'.join(_ID_PREPOSITIONS)})[ ]{{1,2}}$", re.IGNORECASE)
_TAKEN_BACK = re.compile(  # "customer 3001, no wait, that's the invoice number"
    rf"(?:[ ,.;]+(?:no|wait|sorry|oops|oh))*[ ,.;]+(?:that|this|it)(?:['’]?s|[ ]is|[ ]was)[ ]"
    rf"(?:(?:the|a|an|my|his|her)[ ])?(?:{THINGS})(?![^\W_])"
)
_ENDS = re.compile(r"[ ]?(?:[.,;?!]|$)")
_SHORT_ID: Final = 3
_SHORT_CUE = re.compile(rf"(?<![^\W_])(?:{_OWNER}|{_NUMBER}|\#)\.?(?:[ ]?(?:is|:|=|\#))*[ ]?$", re.IGNORECASE)
_PERIOD = re.compile(r"[qhwy]\d{1,2}|\d{1,2}(?:st|nd|rd|th|am|pm|k|m|x)", re.IGNORECASE)
_LONGEST_LAST: Final = 24  # characters of a word before an id


def find_ids(page: TextScan, phones: list[Contact]) -> list[Contact]:
    """Ids behind a cue ("customer 4711"), then bare ones (EDW_HAWTHORNE_001, C-1001).

    Digits behind "customer" that make a phone number are taken out of `phones` and become the second reading.
    """
    found = _announced_ids(page, phones)
    for match in first_of(_DASHED_ID, page.left_low) if not _DASHES.isdisjoint(page.keywords) else ():
        found.append(Contact("customer_id", f"{match[1]}-{match[2]}", *match.span(), Strength.WEAK))
        page.blank(*match.span())
    bare = [match for begin, end in page.marked for match in _BARE_ID.finditer(page.left, begin, end)]
    for match in bare[:MOST]:
        token, (start, end) = match[0].rstrip("-_"), match.span()
        if not _DIGIT.search(token) or not ("_" in token or "-" in token or token.upper() == token):
            continue
        if is_number_of_something(page, start) or _THING_PREFIX.match(token):
            page.blank(start, end)
            continue
        before = page.before(start)
        if _is_like_id(token, before):
            # Behind "for" an id is likely meant; else it may be a model, a quarter, an illness.
            strength = Strength.WEAK if _follows_preposition(before) else Strength.FAINT
            found.append(Contact("customer_id", token, start, start + len(token), strength))
            page.blank(start, end)
    return found


def _announced_ids(page: TextScan, phones: list[Contact]) -> list[Contact]:
    found: list[Contact] = []
    position = 0
    lower = page.left_low
    starts = page.starts_of(_ID_WORDS)
    if "#" in lower:
        starts = sorted([*starts, *(mark.start() for mark in re.finditer("#", lower))])
    if len(starts) == 1 and page.keywords.isdisjoint(_OWNING) and not _is_bare(page, starts[0]):
        return found  # "order number 7", as most numbers are said
    for begin in starts:
        match = _CUED_ID.match(lower, begin) if begin >= position and len(found) < MOST else None
        if match is None:
            continue
        position, end = match.span("id")  # in "customer number 7" the first word announces the second
        token = page.left[position:end].rstrip("-./:")
        start, end = position, position + len(token)
        apart = not lower[start - 1].isalnum()
        if not apart and token[0].isalpha():
            continue  # the "t" of "not", the "omer-1001" of "customer-1001"
        hyphened = None
        if (
            len(token) < 4
            and apart
            and (len(token) == 1 or token.isdecimal() or is_unknown(token.lower()))
            and (parts := _IN_PARTS.match(lower, start))
            and not _is_counted(page, parts.end())
        ):
            token, end = parts[0].replace(" ", ""), parts.end()
            hyphened = _LETTERS_THEN_DIGITS.sub(r"\1-\2", token) if token[0].isalpha() else None
        telling = _DIGIT.search(token) or (match["sure"] is not None and "_" in token)
        if not telling or not _is_customers(page, match) or _COUNTED.match(page.left, end):
            continue
        if _TAKEN_BACK.match(lower, end):
            page.taken_back += (start,)
            page.blank(start, end)
            continue
        bare = match["bare"] is not None and match["bare"].lower() not in ("id", "identifier")
        if bare and (len(token) < 3 or _SOMEBODYS_NUMBER.search(page.before(match.start()))):
            continue  # "number two" of a list, or the beginning of a phone number
        phone = next((p for p in phones if p.start == start), None)
        if phone is not None:
            if bare:
                continue
            phones.remove(phone)
        strength = Strength.WEAK if bare else Strength.STRONG
        supplement, other = is_supplement(page, start), phone.value if phone else None
        found.append(Contact("customer_id", token, start, end, strength, other, supplement, hyphened))
        page.blank(start, end)
        position = end
        while token.isdecimal() and (more := _ANOTHER_ID.match(page.left, position)):
            if len(more[1]) != len(token) and not _ENDS.match(page.left, more.end()):
                break
            found.append(Contact("customer_id", more[1], *more.span(1), strength))
            page.blank(*more.span(1))
            position = more.end()
    return found


def _is_counted(page: TextScan, end: int) -> bool:
    """Whether the number before `end` counts something: "customer 12 3 payments"."""
    word = _NEXT_WORD.match(page.left, end)
    return word is not None and word[1].lower() in ENGLISH.subjects


def _is_customers(page: TextScan, match: re.Match[str]) -> bool:
    """Whether "number 7", "id 7" and "#7" may be of a customer: not behind another noun."""
    if match["bare"] is None:
        before = page.before(match.start())
        return match["sure"] is not None or before[-1:] == " " or not is_number_of_something(page, match.start())
    return _is_bare(page, match.start())


def _is_bare(page: TextScan, start: int) -> bool:
    """The same of a match that begins at `start` and does not say whose the number is."""
    before = page.before(start)[-_LONGEST_LAST:]
    last = before[:-1].rpartition(" ")[2]
    if not (last.isalpha() and before[-1] == " "):  # more than a plain word
        word = LAST_WORD.search(before)
        last = word[1] if word and not _LAST_POSSESSIVE.search(before) else ""
    return (not last or last.lower() in BEFORE_NUMBER) and not is_number_of_something(page, start)


_ACCOUNT: Final = re.compile(r"\b(?:account|acct|konto)\W*(?:number|no|nr|id|is)?\W*$", re.IGNORECASE)


def may_be_id(token: str, page: TextScan, start: int) -> bool:
    """Whether a word that is some customer's id is meant as one: "Q3" and "B2B" mostly are not, nor is a claim's."""
    before = page.before(start)
    thing = is_number_of_something(page, start) and (token.isdecimal() or not _ACCOUNT.search(before))
    return not thing and _is_like_id(token, before)


def _is_like_id(token: str, before: str) -> bool:
    if len(token) > _SHORT_ID or (len(token) == _SHORT_ID and ("-" in token or "_" in token)):
        return True
    cued = _follows_preposition(before) or _SHORT_CUE.search(before) is not None
    return cued and not _PERIOD.fullmatch(token)


def _follows_preposition(before: str) -> bool:
    return before.rstrip().lower().endswith(_ID_PREPOSITIONS) and _ID_PREPOSITION.search(before) is not None
