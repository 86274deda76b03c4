"""E-mail addresses and phone numbers in free text.

Each finder returns its values with where they stand and blanks what it has read, so that the next one does not take
a date for a phone number, or the name inside an address for a person's.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import Final, Literal, NamedTuple

from tilores_core.chat.customer.announced import (
    is_changed_to,
    is_cued_phone,
    is_number_of_something,
    is_other_number,
    is_supplement,
)
from tilores_core.chat.customer.tokens import TextScan
from tilores_core.chat.customer.words import keywords, word_set
from tilores_core.contracts import Evidence, Strength
from tilores_core.identity import normalise_email, normalise_phone
from tilores_core.identity.mentions import BEFORE_NUMBER

MOST: Final = 8  # of a kind, per text
_EMAIL = re.compile(r"(?<![\w.+\-])\w[\w.+\-'’%&/=]{0,63}@(?:[\w\-]{1,63}\.){1,8}[^\W\d_]{2,63}(?![\w@])")
_SPOKEN_EMAIL = re.compile(
    r"(?<!\w)[a-z0-9]{1,40}(?:[ ](?:dot|underscore|dash)[ ][a-z0-9]{1,40}){0,4}[ ]at[ ][a-z0-9]{1,40}"
    r"(?:[ ]dot[ ][a-z0-9]{1,40}){0,2}[ ]dot[ ](?:com|net|org|de|uk|io|eu|example|test)(?!\w)",
    re.IGNORECASE,
)
_SPOKEN_PARTS = {" dot ": ".", " underscore ": "_", " dash ": "-", " at ": "@"}
_DOT: Final = keywords(("dot",))
_EMAIL_CUE = re.compile(r"\b(?:e-?mail|mail|address)(?:[ ]address)?(?:[ ](?:is|it's))?[ :]{1,2}$", re.IGNORECASE)
_ADDRESSEE = re.compile(r"(?:^|\W)(?:to|cc|bcc|an|à|naar)\W{1,3}$", re.IGNORECASE)

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
LAST_WORD: Final = re.compile(r"([^\W_]+(?:['’]s)?)(?:(?<=ref|inv)\.)?[ ]?[(\[]?$", re.IGNORECASE)
_BEFORE_ANY: Final = BEFORE_NUMBER | word_set("my phone telephone mobile cell contact callback back")


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
    typed = first_of(_EMAIL, page.left) if "@" in page.left else []
    spoken = first_of(_SPOKEN_EMAIL, page.left) if not _DOT.isdisjoint(page.keywords) and "at" in page.words else []
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


def find_phones(page: TextScan, region: str) -> list[Contact]:
    """Phone numbers in E.164; no cards, account numbers or amounts. Bare digits stay readable for `find_ids`."""
    found: list[Contact] = []
    for match in first_of(_PHONE, page.left) if _MAYBE_PHONE.search(page.left, *page.reach) else ():
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
    for match in first_of(_PART, page.left, *page.reach):
        before = page.before(match.start())
        digits = "".join(filter(str.isdecimal, match[0]))
        other = is_other_number(page, match.start()) or is_number_of_something(page, match.start())
        if len(digits) > 1 and is_cued_phone(page, match.start()) and not other:
            word = LAST_WORD.search(before.partition("number")[0])
            if "number" in before and word and word[1].lower() not in _BEFORE_ANY and not word[1].endswith("s"):
                continue  # "room number 503"
            return [Contact("part", digits, *match.span())]
    return []


def first_of(pattern: re.Pattern[str], text: str, *within: int) -> list[re.Match[str]]:
    """`within`: the places between which to look."""
    return list(islice(pattern.finditer(text, *within), MOST))
