"""E-mail addresses, phone numbers and customer ids in free text.

Each finder returns its values with where they stand and blanks what it has read, so that the next one does not take
a date for a phone number, or the name inside an address for a person's. A number is a customer's id only where the
text says so: behind "invoice", "room" or "claim" it is something else.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import Final, Literal, NamedTuple

from tilores_core.chat.customer.announced import (
    THINGS,
    is_changed_to,
    is_cued_phone,
    is_number_of_something,
    is_other_number,
    is_supplement,
)
from tilores_core.chat.customer.tokens import TextScan
from tilores_core.chat.customer.words import ENGLISH, LANGUAGES, data_of, is_unknown, keywords, words_in_any
from tilores_core.contracts import Evidence, Strength
from tilores_core.identity import normalise_email, normalise_phone
from tilores_core.identity.mentions import BEFORE_NUMBER

_MOST = 8  # of a kind, per text
_EMAIL = re.compile(r"(?<![\w.+\-])\w[\w.+\-'’%&/=]{0,63}@(?:[\w\-]{1,63}\.){1,8}[^\W\d_]{2,63}(?![\w@])")
_BEFORE_LOCAL: Final = " \n<(,;:|"
_SPOKEN_EMAIL = re.compile(
    r"(?<!\w)[a-z0-9]{1,40}(?:[ ](?:dot|underscore|dash)[ ][a-z0-9]{1,40}){0,4}[ ]at[ ][a-z0-9]{1,40}"
    r"(?:[ ]dot[ ][a-z0-9]{1,40}){0,2}[ ]dot[ ](?:com|net|org|de|uk|io|eu|example|test)(?!\w)",
    re.IGNORECASE,
)
_SPOKEN_PARTS = {" dot ": ".", " underscore ": "_", " dash ": "-", " at ": "@"}
_DOT: Final = keywords(("dot",))
_EMAIL_CUE = re.compile(r"\b(?:e-?mail|mail|address)(?:[ ]address)?(?:[ ](?:is|it's))?[ :]{1,2}$", re.IGNORECASE)
_ADDRESSEE = re.compile(r"(?:^|\W)(?:to|cc|bcc)\W{1,3}$", re.IGNORECASE)

_PHONE = re.compile(
    r"(?<![\w$€£#@+])(?<!\d[.,])"
    r"(?:\+[ ]?|\(\+?)?\d[\d ().\-/\u2010-\u2015]{5,30}\d(?:[ ]?(?:ext|x)\.?[ ]?\d{1,5})?(?![\w@€$£%])"
)
_AMOUNT_BEHIND = re.compile(r"[ ]?(?:[€$£%]|(?:eur|usd|gbp|chf|dollars?|euros?|pounds?|percent)\b)", re.IGNORECASE)
_PART = re.compile(r"(?<![\w$€£#@+./\-])\d[\d ().\-]{1,22}(?<=\d)(?![\w@€$£%/])", re.ASCII)
_ONLY_DIGITS = re.compile(r"\W*(?:(?:and|then|und|et|y|e|en)\W+)?(\d[\d ().\-]{0,10}\d)\W*", re.ASCII)
_ENDING = re.compile(
    r"\b(?:(?:(?:phone|mobile|cell|telephone)(?:[ ]number)?|(?:whose|his|her|their)[ ]number)(?:'s)?"
    r"[ ](?:ends|ending|that[ ]ends)(?:[ ](?:in|with))?|"
    r"last[ ](?:two|three|four|five|[2-5])(?:[ ]digits)?[ ]of[ ](?:the|my|her|his)[ ](?:phone|mobile|cell)"
    r"(?:[ ]number)?(?:[ ](?:is|are))?)"
    r"[ :]{1,2}(?P<digits>\d{2,6})(?!\d)",
    re.IGNORECASE,
)
_ENDING_WORDS: Final = keywords(("ends", "ending", "last"))
_CARD = re.compile(r"\d{4}(?:[ \-]\d{4}){3}|\d{4}[ \-]\d{6}[ \-]\d{5}|\d{3}-\d{2}-\d{4}", re.ASCII)
_NORTH_AMERICAN = re.compile(r"(?:\+?1[ .\-]?)?(?:\([2-9]\d\d\)[ ]?|[2-9]\d\d[ .\-]?)[2-9]\d\d[ .\-]?\d{4}", re.ASCII)
_NORTH_AMERICA = frozenset({"US", "CA", "PR"})
_GROUP = re.compile(r"\d+")
_DIGIT = re.compile(r"\d")
_FEWEST_DIGITS: Final = 7  # of a phone number
_MAYBE_PHONE = re.compile(r"\d(?<![\w$€£#@]\d)[\d ().\-/\u2010-\u2015]{5,30}\d")
_MOST_GROUPS = 6
_LONGEST_DICTATED = 30
_LIKELY_PHONE = re.compile(r"\+|(?:0|\(0?\d)\d*[ ().\-/]+\d[\d ().\-/]{5,}$|00?[1-9]\d{8,11}$", re.ASCII)
_PLAIN_DIGITS = re.compile(r"\d{6,20}", re.ASCII)
_LONGEST_NATIONAL = 12

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
_FIRST_LETTERS = re.compile(r"[^\W\d_]+")
_ID_WORDS: Final = keywords(
    found[0]
    for owner in words_in_any("owner") | {"user", "entity"}
    for number in ("", *words_in_any("number"))
    for phrase in (f"{owner}{number}", f"{owner}s{number}", number, *_COMPOUNDS)
    if (found := _FIRST_LETTERS.findall(phrase))
)
"""With which a match of `_CUED_ID` begins, save for "#"."""
_ANOTHER_ID = re.compile(
    r"[ ]?(?:[,/&]|,?[ ](?:and|or|und|oder|et|ou|y|o|e|of))[ ]?#?(\d{1,20})"
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
_LAST_WORD = re.compile(r"([^\W_]+(?:['’]s)?)(?:(?<=ref|inv)\.)?[ ]?[(\[]?$", re.IGNORECASE)
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
_BEFORE_ANY: Final = BEFORE_NUMBER | frozenset(
    ("my", "phone", "telephone", "mobile", "cell", "contact", "callback", "back")
)
_TAKEN_BACK = re.compile(  # "customer 3001, no wait, that's the invoice number"
    rf"(?:[ ,.;]+(?:no|wait|sorry|oops|oh))*[ ,.;]+(?:that|this|it)(?:['’]?s|[ ]is|[ ]was)[ ]"
    rf"(?:(?:the|a|an|my|his|her)[ ])?(?:{THINGS})(?![^\W_])"
)
_ENDS = re.compile(r"[ ]?(?:[.,;?!]|$)")
_SHORT_ID: Final = 3
_SHORT_CUE = re.compile(rf"(?<![^\W_])(?:{_OWNER}|{_NUMBER}|\#)\.?(?:[ ]?(?:is|:|=|\#))*[ ]?$", re.IGNORECASE)
_PERIOD = re.compile(r"[qhwy]\d{1,2}|\d{1,2}(?:st|nd|rd|th|am|pm|k|m|x)", re.IGNORECASE)
_LONGEST_LAST: Final = 24  # characters of a word before an id


class Contact(NamedTuple):
    """A value at `start`:`end`; `phone` is a second reading of the same digits.

    A `part` is some digits of a phone number; `hyphened` is another spelling of an id that was said in parts;
    `supplement`: said to complete what was said before ("her phone is"); `speaker`: the sender's of a pasted mail.
    """

    kind: Literal["email", "phone", "part", "customer_id"]
    value: str
    start: int
    end: int
    strength: Strength = Strength.STRONG
    phone: str | None = None
    supplement: bool = False
    hyphened: str | None = None
    speaker: bool = False


def as_evidence(item: Contact) -> Evidence:
    """What was found, as evidence; the capitals of an id and its reading as a phone number are alternatives."""
    others: tuple[str, ...] = ()
    if item.kind == "customer_id":
        sure = item.strength >= Strength.STRONG  # of others one look-up must do
        spelt = (
            (item.value.upper(), *((item.hyphened, item.hyphened.upper()) if item.hyphened else ())) if sure else ()
        )
        others = tuple(v for v in dict.fromkeys((*spelt, item.phone)) if v and v != item.value)
    return Evidence(
        kind="phone" if item.kind == "part" else item.kind,
        value=item.value,
        start=item.start,
        end=item.end,
        strength=item.strength,
        alternatives=others,
        partial=item.kind == "part",
        supplement=item.supplement,
        speaker=item.speaker,
    )


_IS_SENT: Final = re.compile(r"[ ](?:the|an?|her|his|their|this|that)[ ]")  # "email ann@example.com the statement"
_SENDER: Final = re.compile(r"(?:^|\n)(?:from|von|de|da|van): [^\n]{0,80}$", re.IGNORECASE)


def find_emails(page: TextScan) -> list[Contact]:
    """Addresses, also as they are said ("edwina dot h at example dot com"); faint when mail is sent there."""
    if "@" not in page.left and _DOT.isdisjoint(page.keywords):
        return []
    typed = _typed_emails(page.left)
    spoken = _first(_SPOKEN_EMAIL, page.left) if not _DOT.isdisjoint(page.keywords) and "at" in page.words else []
    found = []
    for match in (*typed, *spoken):
        written = match[0].rstrip(".'’")
        if "@" not in written:
            for said, meant in _SPOKEN_PARTS.items():
                written = re.sub(said, meant, written, flags=re.IGNORECASE)
        address = normalise_email(written)
        if address is not None:
            before = page.before(match.start())
            certain = "@" in match[0] or "." in address.partition("@")[0] or _EMAIL_CUE.search(before) is not None
            certain = certain and not _ADDRESSEE.search(before) and not _IS_SENT.match(page.left, match.end())
            strength = Strength.STRONG if certain else Strength.FAINT
            supplement = is_supplement(page, match.start())
            sender = _SENDER.search(page.text, 0, match.start()) is not None
            found.append(Contact("email", address, *match.span(), strength, supplement=supplement, speaker=sender))
            page.blank(*match.span())
    return found


def _typed_emails(text: str) -> list[re.Match[str]]:
    found: list[re.Match[str]] = []
    at = text.find("@")
    while at >= 0 and len(found) < _MOST:
        begin = max([text.rfind(mark, max(0, at - 64), at) for mark in _BEFORE_LOCAL]) + 1
        if (match := _EMAIL.search(text, max(begin, at - 64))) and match.start() < at < match.end():
            found.append(match)
        at = text.find("@", at + 1)
    return found


def find_phones(page: TextScan, region: str) -> list[Contact]:
    """Phone numbers in E.164; no cards, account numbers or amounts. Bare digits stay readable for `find_ids`."""
    found: list[Contact] = []
    for match in _first(_PHONE, page.left) if _MAYBE_PHONE.search(page.left, *page.reach) else ():
        if _is_another_number(page, match):
            continue
        cued = is_cued_phone(page, match.start())
        for start, end, number in _numbers(match[0], region, cued=cued):
            span = (match.start() + start, match.start() + end)
            plain = _PLAIN_DIGITS.fullmatch(match[0]) is not None
            supplement = is_supplement(page, match.start())
            strength = Strength.FAINT if is_changed_to(page, match.start()) else Strength.STRONG
            found.append(Contact("phone", number, *span, strength, supplement=supplement))
            if cued or not plain:
                page.blank(*span)
    return found


def _is_another_number(page: TextScan, match: re.Match[str]) -> bool:
    text = match[0]
    digits = sum(c.isdecimal() for c in text)
    if digits < _FEWEST_DIGITS or _CARD.search(text) or _AMOUNT_BEHIND.match(page.left, match.end()):
        return True
    if _PLAIN_DIGITS.fullmatch(text) and digits > _LONGEST_NATIONAL and not text.startswith(("00", "011")):
        return not is_cued_phone(page, match.start())
    return is_other_number(page, match.start())


def _numbers(text: str, region: str, *, cued: bool) -> list[tuple[int, int, str]]:
    # Needs no library, and is what most numbers of a North American desk look like.
    spaced = _NORTH_AMERICAN.fullmatch(text) and (cued or not _PLAIN_DIGITS.fullmatch(text))
    if spaced and (region in _NORTH_AMERICA or text.startswith("+")) and (number := normalise_phone(text, region)):
        return [(0, len(text), number)]
    if len(_GROUP.findall(text)) > _MOST_GROUPS:  # dictated digit by digit
        number = normalise_phone(text, region) if len(text) < _LONGEST_DICTATED else None
        return [(0, len(text), number)] if number else []
    import phonenumbers

    found = []
    for match in phonenumbers.PhoneNumberMatcher(text, region, max_tries=4):
        plain = phonenumbers.format_number(match.number, phonenumbers.PhoneNumberFormat.E164)
        found.append((match.start, match.end, normalise_phone(match.raw_string, region) or plain))
    if not found and (cued or _LIKELY_PHONE.match(text)):
        # Numbers reserved for films and examples are in no numbering plan, yet records hold them.
        number = normalise_phone(text, region)
        return [(0, len(text), number)] if number else []
    return found


def find_parts(page: TextScan, phones: list[Contact]) -> list[Contact]:
    """Some digits of a phone number: its last ones, or some of one that is said over several messages, behind a cue
    or as nothing but digits."""
    if not _ENDING_WORDS.isdisjoint(page.keywords) and (ending := _ENDING.search(page.left)):
        return [Contact("part", f"*{ending['digits']}", *ending.span("digits"))]
    if phones:
        return []
    if alone := _ONLY_DIGITS.fullmatch(page.left):
        digits = "".join(filter(str.isdecimal, alone[1]))
        return [Contact("part", digits, *alone.span(1), Strength.FAINT)] if len(digits) < 10 else []
    for match in _first(_PART, page.left):
        before = page.before(match.start())
        digits = "".join(filter(str.isdecimal, match[0]))
        other = is_other_number(page, match.start()) or is_number_of_something(page, match.start())
        if len(digits) > 1 and is_cued_phone(page, match.start()) and not other:
            word = _LAST_WORD.search(before.partition("number")[0])
            if "number" in before and word and word[1].lower() not in _BEFORE_ANY and not word[1].endswith("s"):
                continue  # "room number 503"
            return [Contact("part", digits, *match.span())]
    return []


def find_ids(page: TextScan, phones: list[Contact]) -> list[Contact]:
    """Ids behind a cue ("customer 4711"), then bare ones (EDW_HAWTHORNE_001, C-1001).

    Digits behind "customer" that make a phone number are taken out of `phones` and become the second reading.
    """
    found = _announced_ids(page, phones)
    for match in _first(_DASHED_ID, page.left_low) if not _DASHES.isdisjoint(page.keywords) else ():
        found.append(Contact("customer_id", f"{match[1]}-{match[2]}", *match.span(), Strength.WEAK))
        page.blank(*match.span())
    bare = [match for begin, end in page.marked for match in _BARE_ID.finditer(page.left, begin, end)]
    for match in bare[:_MOST]:
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
    for begin in starts:
        match = _CUED_ID.match(lower, begin) if begin >= position and len(found) < _MOST else None
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
    before = page.before(match.start())
    if match["bare"] is None:
        return match["sure"] is not None or before[-1:] == " " or not is_number_of_something(page, match.start())
    before = before[-_LONGEST_LAST:]
    last = before[:-1].rpartition(" ")[2]
    if not (last.isalpha() and before[-1] == " "):  # more than a plain word
        word = _LAST_WORD.search(before)
        last = word[1] if word and not _LAST_POSSESSIVE.search(before) else ""
    return (not last or last.lower() in BEFORE_NUMBER) and not is_number_of_something(page, match.start())


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


def _first(pattern: re.Pattern[str], text: str) -> list[re.Match[str]]:
    return list(islice(pattern.finditer(text), _MOST))
