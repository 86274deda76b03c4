"""Text as valid Unicode, where JSON brings halves of surrogate pairs: text that was cut within a character."""

from __future__ import annotations


def join_halves(text: str) -> str:
    """The text with the halves of each surrogate pair joined, and each lone half replaced."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


class JoinHalves:
    """Text in pieces as valid Unicode: halves of a surrogate pair are joined, a lone one is replaced; no NUL.

    `half`: the first half of a pair, while the other one is missing.
    """

    def __init__(self) -> None:
        self.half = ""

    def add(self, text: str) -> str:
        """What of the text so far can be passed on."""
        if "\0" in text:  # no database takes it
            text = text.replace("\0", "")
        if not text or (text.isascii() and not self.half):
            return text
        text, self.half = self.half + text, ""
        try:
            text.encode()
        except UnicodeEncodeError:
            if "\ud800" <= text[-1] <= "\udbff":
                text, self.half = text[:-1], text[-1]
            return join_halves(text)
        return text

    def rest(self) -> str:
        """What stands for a half whose other one never came."""
        half, self.half = self.half, ""
        return "\ufffd" if half else ""
