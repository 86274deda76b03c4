"""E-mail addresses and phone numbers in a cell, which may hold several."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from tilores_core import normalise_email, normalise_phone
from tilores_plugins.sources.file.values import has_lost_digits, without_point_zero

_BETWEEN_EMAILS: Final = re.compile(r"[\s;,|<>()\[\]\"]+|:::")
_BETWEEN_PHONES: Final = re.compile(r"\s*(?:[;|\n]|:::|,|\s/\s|/(?=\s*[+(])|\s(?:or|and|oder|und)\s)\s*")
_NO_NUMBER: Final = re.compile(r"(.)\1*|[0 ()./+-]+")  # 000-000-0000, a placeholder of many rows
_LONGEST_LIST: Final = 1_000  # characters
_ALL_DIGITS: Final = re.compile(r"[1-9]\d{10,14}", re.ASCII)


def emails_in(text: str) -> list[str]:
    """All addresses in a cell, normalised: one, several, or `Name <address>`."""
    if (whole := normalise_email(text)) is not None:
        return [whole]
    return [email for piece in _BETWEEN_EMAILS.split(text) if "@" in piece and (email := normalise_email(piece))]


def phones_in(text: str, region: str) -> list[str]:
    """All numbers in a cell, in E.164."""
    if has_lost_digits(text):
        return []
    if (whole := _phone(text, region)) is not None:
        return [whole]
    pieces = _BETWEEN_PHONES.split(text)
    found = [number for piece in pieces if (number := _phone(piece, region))] if len(pieces) > 1 else []
    return found if len(found) == len(pieces) else _find_phones(text, region) or found


def _find_phones(text: str, region: str) -> list[str]:
    """Numbers among other words: `503-555-0146 (home) 503-555-0147 (work)`."""
    import phonenumbers

    matches = phonenumbers.PhoneNumberMatcher(text[:_LONGEST_LIST], region)
    return [number for match in matches if (number := normalise_phone(match.raw_string, region))]


def _phone(text: str, region: str) -> str | None:
    text = without_point_zero(text.strip())
    if not text or _NO_NUMBER.fullmatch(text):
        return None
    if _ALL_DIGITS.fullmatch(text) and (international := _with_plus(text, region)):
        return international
    return normalise_phone(text, region)


@lru_cache(maxsize=4096)
def _with_plus(digits: str, region: str) -> str | None:
    """A number whose plus a spreadsheet dropped: valid with it, and either the region's own, or not valid within it.

    Of the region's own the country code decides: a national number would begin with the trunk prefix.
    """
    import phonenumbers

    try:
        whole = phonenumbers.parse(f"+{digits}", None)
        national = phonenumbers.parse(digits, region)
    except phonenumbers.NumberParseException:
        return None
    own = whole.country_code == phonenumbers.country_code_for_region(region)
    if not phonenumbers.is_valid_number(whole) or (not own and phonenumbers.is_valid_number(national)):
        return None
    return normalise_phone(f"+{digits}", region)
