"""Text that comes in pieces, let go sentence by sentence."""

from __future__ import annotations

import re
from typing import Final

# Words behind which a full stop ends no sentence.
_ABBREVIATIONS: Final = re.compile(
    r"mr|mrs|ms|dr|prof|rev|hon|st|jr|sr|no|nos|vs|etc|approx|dept|est|inc|ltd|co|corp|figs?|vol|pp|ref|resp"
    r"|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec|mon|tues?|wed|thur?s?|fri|sat|sun"
    r"|ave|blvd|rd|apt|ste|tel|ext|acct|amt|bal|e\.g|i\.e|u\.s|u\.k|a\.m|p\.m"
    r"|z\.b|d\.h|u\.a|bzw|ca|str|nr|hr|fr|mme|mlle|sra",
    re.IGNORECASE,
)
_END: Final = re.compile(
    r"""
    (?P<wide> [。！？｡]+ [」』”’）)】]* )          # CJK: nothing need follow
    | (?P<stop> [.!?…]+ ["'”’»)\]]* ) (?=\s)
    | \n
    """,
    re.VERBOSE,
)
_SPACE: Final = re.compile(r"\s*")
_LAST_WORD: Final = re.compile(r"[^\s(\[\"'“‘«]*$")
_CLAUSE: Final = re.compile(r"[,;:–—、，；：]\s+|[、，；：]|\s+-\s+")
_LIST_NUMBER: Final = re.compile(r"\s*(?:\d{1,3}|[a-zA-Z])$")


class Sentences:
    """Hand pieces to `feed` and get back the sentences that are whole, white space included, so that they join up to
    just the text. What has not ended stays until `rest`.

    A sentence ends at `.`, `!`, `?` or `…` before white space and something that does not go on in lower case, at a
    wide full stop, or at a line's end; not at an abbreviation, an initial, a decimal point, the number of a list. One
    of more than `longest` characters is let go at a clause, or between words.
    """

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._held = ""
        self._looked = 0

    def feed(self, text: str) -> list[str]:
        self._held += text
        found: list[str] = []
        while (end := self._next_end()) is not None:
            found.append(self._take(end))
        while len(self._held) > self._longest:
            found.append(self._take(self._clause_end()))
        return found

    def rest(self) -> str:
        """What is left at the end of the text."""
        return self._take(len(self._held))

    def _take(self, end: int) -> str:
        taken, self._held = self._held[:end], self._held[end:]
        self._looked = 0
        return taken

    def _next_end(self) -> int | None:
        """Where the first sentence ends and what follows it is known; None while that is not so."""
        held = self._held
        for match in _END.finditer(held, self._looked):
            end = match.end()
            space = _SPACE.match(held, end)
            after = space.end() if space else end
            if match["wide"]:
                return after
            if after == len(held):  # what follows decides
                self._looked = match.start()
                return None
            if match["stop"] is None:
                if held[: match.start()].strip():
                    return after
            elif _ends(held[: match.start()], match["stop"], held[after]):
                return after
        # A stop at the very end is looked at again when something follows it.
        self._looked = max(0, len(held.rstrip(".!?…\"'”’»)]")) - 1)
        return None

    def _clause_end(self) -> int:
        window = self._held[: self._longest]
        clauses = [match.end() for match in _CLAUSE.finditer(window)]
        if clauses and clauses[-1] > self._longest // 3:
            return clauses[-1]
        space = max(window.rfind(" "), window.rfind("\n"))
        return space + 1 if space > 0 else self._longest


def _ends(before: str, stop: str, following: str) -> bool:
    if following.islower():
        return False
    if not stop.startswith(".") or stop.startswith(".."):
        return True
    word = _LAST_WORD.search(before)
    last = word.group() if word else ""
    if len(last) == 1 and last.isalpha() and last.isupper() and last != "I":
        return False  # an initial
    if _LIST_NUMBER.fullmatch(before):
        return False  # "1. First"
    return _ABBREVIATIONS.fullmatch(last) is None
