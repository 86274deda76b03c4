"""Names that callers choose freely (a session, a request), as they may leave the process.

Somebody may name a session after the customer or the caller's telephone. What does not look like a made-up id
goes out as a digest, which still joins what belongs together.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Final

from tilores_core.chat.customer.words import GIVEN_NAMES

_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)
_SHAPE = re.compile(r"[A-Za-z0-9._:/=\-]{1,128}")
_LETTERS = re.compile(r"[a-z]+")
_HEX = re.compile(r"[0-9a-f]{12,}", re.IGNORECASE)
_OURS = re.compile(r"req-[0-9a-f]{12}-[0-9a-f]+")
_LONGEST_WORD: Final = 7
_MOST_DIGITS: Final = 6
_DIGEST: Final = 24


def plain_id(text: str) -> str:
    """`text` when it is a UUID, hexadecimal, or short words with a number (`session-42`); else its digest."""
    return text if _is_made_up(text) else f"sha256-{sha256(text.encode()).hexdigest()[:_DIGEST]}"


def _is_made_up(text: str) -> bool:
    if _UUID.fullmatch(text) or _OURS.fullmatch(text) or (_HEX.fullmatch(text) and not text.isdigit()):
        return True
    if not _SHAPE.fullmatch(text) or not any(character.isdigit() for character in text):
        return False
    digits = sum(character.isdigit() for character in text)
    words = _LETTERS.findall(text.lower())
    return digits <= _MOST_DIGITS and all(len(word) <= _LONGEST_WORD and word not in GIVEN_NAMES for word in words)
