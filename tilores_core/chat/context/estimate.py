"""How many tokens a text takes, near enough, without any model's tokenizer.

Every model cuts text differently, and a tokenizer would be one more library for each. What is wanted here is never to
be too low: ASCII counts 2.75 characters to a token (English prose takes about four, dates, figures and names of
fields two to three), everything else half a token a byte of UTF-8 (so an accented or Cyrillic letter counts one, a
Chinese character one and a half, an emoji two).
"""

from __future__ import annotations


def estimate_tokens(text: str) -> int:
    """Tokens, rounded up: the estimates of two texts are together at least that of both joined."""
    if text.isascii():
        return -(-4 * len(text) // 11)
    plain = len(text.encode("ascii", "ignore"))
    other = len(text.encode("utf-8", "surrogatepass")) - plain
    return -(-(8 * plain + 11 * other) // 22)
