"""E-mail addresses and phone numbers."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

_EMAIL = re.compile(r"[^\s@<>,;:\"()\[\]]{1,64}@[^\s@<>,;:\"()\[\]]{1,253}\.[^\s@<>,;:\"()\[\].]{2,63}")

_LONGEST_PHONE = 40
_NORTH_AMERICA = frozenset({"US", "CA", "PR"})
# phonenumbers takes some 40 µs for a number, and indexing a large file would be mostly that. Two shapes need less:
# ten digits of the North American plan, and numbers with their country code and nothing else to be removed.
_TEN_DIGITS = re.compile(r"(\+?1[\s.-]?)?(?:\(([2-9]\d\d)\)|([2-9]\d\d))[\s.-]?([2-9]\d\d)[\s.-]?(\d{4})", re.ASCII)
_PLUS_DIGITS = re.compile(r"\+[1-9](?:[ .-]?\d){6,14}", re.ASCII)
_UNREADABLE = re.compile(r"\d(?:[.,]\d+)?e\+\d{1,3}|[0 ()./+-]+", re.IGNORECASE)
"""In scientific notation, which has lost digits, and the placeholder 000-000-0000."""
_SEPARATORS = re.compile(r"[\s()./\-\u2010-\u2015]+")
_LOST_PLUS = re.compile(r"[1-9]\d{10,14}")
_NOT_DIGIT = re.compile(r"\D", re.ASCII)


def normalise_email(text: str) -> str | None:
    """The address in lower case without what surrounds it, its domain in ASCII (IDNA); None when it is not one."""
    address = unicodedata.normalize("NFKC", text).strip().strip("<>").lower().removeprefix("mailto:").rstrip(".")
    if not _EMAIL.fullmatch(address):
        return None
    local, _, domain = address.rpartition("@")
    if domain.isascii():
        return address
    import idna

    try:
        return f"{local}@{idna.encode(domain, uts46=True).decode()}"
    except idna.IDNAError:
        return None


@lru_cache(maxsize=4096)
def normalise_phone(text: str, region: str = "US") -> str | None:
    """The number in E.164 (`+442079460018`), or None when it cannot be one.

    `region` (ISO 3166, two capitals) is where a number without a country code belongs. Extensions are dropped.
    Lengths are checked, ranges are not: numbering plans change faster than libraries. 5035550142.0, as programs write
    it, is the whole number; of digits alone, the first may be a country code whose plus a program dropped.
    """
    text = (text if text.isascii() else unicodedata.normalize("NFKC", text)).strip().removesuffix(".0")
    if len(text) > _LONGEST_PHONE:
        return None
    quick = _TEN_DIGITS.fullmatch(text)
    if quick and (region in _NORTH_AMERICA or (quick[1] or "").startswith("+")):
        return f"+1{quick[2] or quick[3]}{quick[4]}{quick[5]}"
    if _UNREADABLE.fullmatch(text):
        return None
    if _PLUS_DIGITS.fullmatch(text) and (number := _complete(_NOT_DIGIT.sub("", text))):
        return number
    if number := _restore_plus(_SEPARATORS.sub("", text), region):
        return number
    number = _parse(text, region)
    # "00" is how most of the world dials abroad; from North America it is 011, yet people write 00 there too.
    if number is None and text.startswith("00"):
        number = _parse("+" + text[2:], region)
    return number


def _complete(digits: str) -> str | None:
    """The number if it begins with a country code and the rest has a length possible there and no trunk prefix."""
    for length in (1, 2, 3):
        plan = _plan(int(digits[:length]))
        if plan is not None:
            lengths, trunk_prefix = plan
            national = digits[length:]
            plain = len(national) in lengths and not (trunk_prefix and trunk_prefix.match(national))
            return f"+{digits}" if plain else None
    return None


def _restore_plus(digits: str, region: str) -> str | None:
    """A number without its plus: valid with it, and either the region's own, or not valid within it.

    Of the region's own the country code decides: a national number would begin with the trunk prefix.
    """
    if not _LOST_PLUS.fullmatch(digits):
        return None
    import phonenumbers

    try:
        whole = phonenumbers.parse(f"+{digits}", None)
        national = phonenumbers.parse(digits, region)
    except phonenumbers.NumberParseException:
        return None
    own = whole.country_code == phonenumbers.country_code_for_region(region)
    if not phonenumbers.is_valid_number(whole) or (not own and phonenumbers.is_valid_number(national)):
        return None
    return phonenumbers.format_number(whole, phonenumbers.PhoneNumberFormat.E164)


@lru_cache(maxsize=1024)
def _plan(country_code: int) -> tuple[frozenset[int], re.Pattern[str] | None] | None:
    """How long numbers of a country are, and what the library would strip from their beginning."""
    import phonenumbers

    regions = phonenumbers.COUNTRY_CODE_TO_REGION_CODE.get(country_code)
    metadata = phonenumbers.PhoneMetadata.metadata_for_region(regions[0], None) if regions else None
    if metadata is None or metadata.general_desc is None:
        return None
    prefix = metadata.national_prefix_for_parsing
    return frozenset(metadata.general_desc.possible_length), re.compile(prefix) if prefix else None


def _parse(text: str, region: str) -> str | None:
    import phonenumbers

    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
