"""E-mail addresses and phone numbers in a cell, which may hold several."""

from __future__ import annotations

import re
from typing import Final

from tilores_core import normalise_email, normalise_phone
from tilores_plugins.sources.file.values import has_lost_digits

_BETWEEN_EMAILS: Final = re.compile(r"[\s;,|<>()\[\]\"]+|:::")
_BETWEEN_PHONES: Final = re.compile(r"\s*(?:[;|\n]|:::|,|\s/\s|/(?=\s*[+(])|\s(?:or|and|oder|und)\s)\s*")
_LONGEST_LIST: Final = 1_000  # characters


def emails_in(text: str) -> list[str]:
    """All addresses in a cell, normalised: one, several, or `Name <address>`."""
    if (whole := normalise_email(text)) is not None:
        return [whole]
    return [email for piece in _BETWEEN_EMAILS.split(text) if "@" in piece and (email := normalise_email(piece))]


def phones_in(text: str, region: str) -> list[str]:
    """All numbers in a cell, in E.164."""
    if (whole := normalise_phone(text, region)) is not None:
        return [whole]
    pieces = _BETWEEN_PHONES.split(text)
    found = [number for piece in pieces if (number := normalise_phone(piece, region))] if len(pieces) > 1 else []
    return found if len(found) == len(pieces) or has_lost_digits(text) else _find_phones(text, region) or found


def _find_phones(text: str, region: str) -> list[str]:
    """Numbers among other words: `503-555-0146 (home) 503-555-0147 (work)`."""
    import phonenumbers

    matches = phonenumbers.PhoneNumberMatcher(text[:_LONGEST_LIST], region)
    return [number for match in matches if (number := normalise_phone(match.raw_string, region))]
