"""An upper estimate of the tokens of a text, without a tokenizer, of which each model would need another library.

ASCII counts one token per 2.75 characters (English prose has about four characters per token; dates, figures and
names of fields two to three). Everything else counts half a token per byte of UTF-8: an accented or Cyrillic letter
one token, a Chinese character one and a half, an emoji two.
"""

from __future__ import annotations


def estimate_tokens(text: str) -> int:
    """Tokens, rounded up: the estimates of two texts are together at least that of both joined."""
    if text.isascii():
        return -(-4 * len(text) // 11)
    plain = len(text.encode("ascii", "ignore"))
    other = len(text.encode("utf-8", "surrogatepass")) - plain
    return -(-(8 * plain + 11 * other) // 22)
