"""E-mail addresses, phone numbers, dates and customer ids in free text.

Each finder returns its values with where they stand and blanks what it has read, so that the next one does not take
a date for a phone number, or the name inside an address for a person's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from tilores_core.chat.customer.mention import Strength
from tilores_core.identity import normalise_email, normalise_phone, parse_date

_MOST = 8  # of a kind, per text
_BLANK = "|"

_EMAIL = re.compile(
    r"(?<![\w.+\-])\w[\w.+\-'’%&/=]{0,63}@(?:[\w\-]{1,63}\.){1,8}[^\W\d_]{2,63}(?![\w@])|"
    r"(?<!\w)[a-z0-9]{1,40}(?:[ ](?:dot|underscore|dash)[ ][a-z0-9]{1,40}){0,4}[ ]at[ ][a-z0-9]{1,40}"
    r"(?:[ ]dot[ ][a-z0-9]{1,40}){0,2}[ ]dot[ ](?:com|net|org|de|uk|io|eu|example|test)(?!\w)",
    re.IGNORECASE,
)
_SPOKEN_PARTS = {" dot ": ".", " underscore ": "_", " dash ": "-", " at ": "@"}
_ADDRESSEE = re.compile(r"(?:^|\W)(?:to|cc|bcc)\W{1,3}$", re.IGNORECASE)

_DATE = re.compile(
    r"(?<![\w.\-/])(?:"
    r"\d{4}([\-/.])\d{1,2}\1\d{1,2}|"
    r"\d{1,2}([\-/.])\d{1,2}\2\d{4}|"
    r"\d{1,2}(?:st|nd|rd|th)?[ .\-]{1,2}(?:of[ ])?[A-Za-z]{3,9}[ .,\-]{1,3}\d{4}|"
    r"[A-Za-z]{3,9}[ .\-]{1,2}\d{1,2}(?:st|nd|rd|th)?[ ,.\-]{1,3}\d{4}"
    r")(?![\w/]|-\d)",
    re.IGNORECASE | re.ASCII,
)
_BIRTH_CUE = re.compile(
    r"(?:\bborn|\bd\.?o\.?b\.?|\bbirth[ ]?da(?:te|y)|\b(?:date|day)[ ]of[ ]birth|\bgeboren|\bgeb\.?)"
    r"(?:'s|[ ]?(?:is|was|on|in|at|am|the|:|=|-|,)){0,3}[ ]{0,3}\(?$",
    re.IGNORECASE,
)
_MONTH_FIRST = frozenset({"US", "PR", "PH"})

_PHONE = re.compile(
    r"(?<![\w$€£#@+])(?<!\d[.,])"
    r"(?:\+[ ]?|\(\+?)?\d[\d ().\-/\u2010-\u2015]{5,30}\d(?:[ ]?(?:ext|x)\.?[ ]?\d{1,5})?(?![\w@€$£%])"
)
_AMOUNT_BEHIND = re.compile(r"[ ]?(?:[€$£%]|(?:eur|usd|gbp|chf|dollars?|euros?|pounds?|percent)\b)", re.IGNORECASE)
_OTHER_NUMBER = re.compile(
    r"\b(?:account|acct|iban|card|loan|policy|invoice|order|case|ticket|reference|ref|ssn|contract|transaction|"
    r"passport|id|social security|tax|amount|(?:customer|client|member)(?:'s)?[ ](?=num|no|nr)|\$|€|£)"
    r"(?:'s)?[ ]?(?:number|no\.?|nr\.?|num|id|ending in)?"
    r"[ ]?(?:is|was|of|:|=|#)?[ ]?$",
    re.IGNORECASE,
)
_PHONE_CUE = re.compile(
    r"(?:phone|number|mobile|cell|tel|telephone|call|caller|dial|ring|handy|fax)\.?"
    r"[ ]?(?:number|no\.?)?[ ]?(?:is|:|=)?[ ]?$",
    re.IGNORECASE,
)
_CARD = re.compile(r"\d{4}(?:[ \-]\d{4}){3}|\d{4}[ \-]\d{6}[ \-]\d{5}|\d{3}-\d{2}-\d{4}", re.ASCII)
_NORTH_AMERICAN = re.compile(r"(?:\+?1[ .\-]?)?(?:\([2-9]\d\d\)[ ]?|[2-9]\d\d[ .\-]?)[2-9]\d\d[ .\-]?\d{4}", re.ASCII)
_NORTH_AMERICA = frozenset({"US", "CA", "PR"})
_GROUP = re.compile(r"\d+")
_MOST_GROUPS = 6
_LONGEST_DICTATED = 30
_LIKELY_PHONE = re.compile(r"\+|(?:0|\(0?\d)\d*[ ().\-/]+\d[\d ().\-/]{6,}$", re.ASCII)
_PLAIN_DIGITS = re.compile(r"\d{6,20}", re.ASCII)
_LONGEST_NATIONAL = 12

_CUED_ID = re.compile(
    r"(?<![\w@.])(?:"
    r"(?P<sure>(?:(?:customer|client|member|user|entity|account[ ]holder)(?:'s)?[ _\-]?)?(?:id|identifier)|"
    r"(?:customer|client|member)(?:'s)?[ _\-]?(?:number|no\.?|nr\.?|num|key|ref|reference))|"
    r"customer|client|account[ ]holder"
    r")(?:[ ]{0,2}(?:is|was|:|=|\#)){0,2}[ ]{0,3}[\"'“(\[]?(?P<id>\w[\w\-./:]{0,63})",
    re.IGNORECASE,
)
_COUNTED = re.compile(
    r"[ ]?(?:%|(?:years?|months?|weeks?|days?|hours?|minutes?|times|percent|people|customers|clients)\b)",
    re.IGNORECASE,
)
_BARE_ID = re.compile(
    r"(?<![\w@./:+\-])(?:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[A-Za-z][A-Za-z0-9_\-]{2,63})"
    r"(?![\w@])",
    re.ASCII,
)
_ID_PREPOSITION = re.compile(r"\b(?:for|of|about|on|regarding|does|is|has|did|was|with)[ ]{1,2}$", re.IGNORECASE)
_CUE_REACH = 40


@dataclass(frozen=True, slots=True)
class Found:
    """A value at `start`:`end`; `phone` is a second reading of the same digits."""

    kind: Literal["email", "phone", "date", "customer_id"]
    value: str
    start: int
    end: int
    strength: Strength = Strength.STRONG
    phone: str | None = None


class Page:
    """A text, and what is left to read of it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.left = text

    def blank(self, start: int, end: int) -> None:
        self.left = self.left[:start] + _BLANK * (end - start) + self.left[end:]

    def before(self, start: int) -> str:
        return self.left[max(0, start - _CUE_REACH) : start]


def find_emails(page: Page) -> list[Found]:
    """Addresses, also as they are said ("edwina dot h at example dot com"); faint when mail is sent there."""
    if "@" not in page.text and not (" at " in page.text and " dot " in page.text):
        return []
    found = []
    for match in _first(_EMAIL, page.left):
        written = match[0].rstrip(".'’")
        if "@" not in written:
            for said, meant in _SPOKEN_PARTS.items():
                written = re.sub(said, meant, written, flags=re.IGNORECASE)
        address = normalise_email(written)
        if address is not None:
            certain = ("@" in match[0] or "." in address.partition("@")[0]) and not _ADDRESSEE.search(
                page.before(match.start())
            )
            strength = Strength.STRONG if certain else Strength.FAINT
            found.append(Found("email", address, *match.span(), strength))
            page.blank(*match.span())
    return found


def find_dates(page: Page, region: str) -> list[Found]:
    """Dates as `YYYY-MM-DD`; strong when the text says that somebody was born then."""
    found = []
    for match in _first(_DATE, page.left):
        date = parse_date(match[0], day_first=region not in _MONTH_FIRST)
        if date is not None:
            born = _BIRTH_CUE.search(page.before(match.start())) is not None
            found.append(Found("date", date, *match.span(), Strength.STRONG if born else Strength.FAINT))
            page.blank(*match.span())
    return found


def find_phones(page: Page, region: str) -> list[Found]:
    """Phone numbers in E.164; no cards, account numbers or amounts. Bare digits stay readable for `find_ids`."""
    found: list[Found] = []
    for match in _first(_PHONE, page.left):
        if _is_another_number(page, match):
            continue
        cued = _PHONE_CUE.search(page.before(match.start())) is not None
        for start, end, number in _numbers(match[0], region, cued=cued):
            span = (match.start() + start, match.start() + end)
            plain = _PLAIN_DIGITS.fullmatch(match[0]) is not None
            found.append(Found("phone", number, *span))
            if cued or not plain:
                page.blank(*span)
    return found


def _is_another_number(page: Page, match: re.Match[str]) -> bool:
    text = match[0]
    digits = sum(c.isdigit() for c in text)
    if digits < 7 or _CARD.search(text) or _AMOUNT_BEHIND.match(page.left, match.end()):
        return True
    if _PLAIN_DIGITS.fullmatch(text) and digits > _LONGEST_NATIONAL and not text.startswith(("00", "011")):
        return True
    return _OTHER_NUMBER.search(page.before(match.start())) is not None


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


def find_ids(page: Page, phones: list[Found]) -> list[Found]:
    """Ids behind a cue ("customer 4711"), then bare ones (EDW_HAWTHORNE_001, C-1001).

    Digits behind "customer" that make a phone number are taken out of `phones` and become the second reading.
    """
    found = []
    for match in _first(_CUED_ID, page.left):
        token = match["id"].rstrip("-./:")
        start = match.start("id")
        end = start + len(token)
        telling = any(c.isdigit() for c in token) or (match["sure"] is not None and "_" in token)
        if not telling or _COUNTED.match(page.left, end):
            continue
        phone = next((p for p in phones if p.start == start), None)
        if phone is not None:
            phones.remove(phone)
        found.append(Found("customer_id", token, start, end, phone=phone.value if phone else None))
        page.blank(start, end)
    for match in _first(_BARE_ID, page.left):
        token = match[0].rstrip("-_")
        if any(c.isdigit() for c in token) and ("_" in token or "-" in token or token.upper() == token):
            # Behind "for" an id is likely meant; else it may be a model, a quarter, an illness.
            cued = _ID_PREPOSITION.search(page.before(match.start())) is not None
            strength = Strength.WEAK if cued else Strength.FAINT
            found.append(Found("customer_id", token, match.start(), match.start() + len(token), strength))
            page.blank(*match.span())
    return found


def _first(pattern: re.Pattern[str], text: str) -> list[re.Match[str]]:
    return list(islice(pattern.finditer(text), _MOST))
