"""A text taken apart once, for all who read it: its words, what was read of it, and the words of names.

`TextScan` splits a text into runs of letters and of digits; what else counts as a word (with an apostrophe, a hyphen
or digits in it) is made of these only where a text has such. What the words before a name say of it is here, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from string import ascii_lowercase
from typing import Final, Literal, NamedTuple, cast

from tilores_core.chat.customer.words import KEYWORDS, LETTERS, TITLES, Vocabulary
from tilores_core.identity.mentions import marked_words
from tilores_core.identity.names import ascii_words

Token = tuple[int, int, str]
"""Where a word begins and ends, and the word in lower case."""

_RUN = re.compile(r"([^\W\d_]+|\d+)")
_ASCII_RUN = re.compile("([a-z]+|[0-9]+)")  # the same, in two thirds of the time
_ASCII_LETTERS = bytes(c if chr(c) in ascii_lowercase else ord(" ") for c in range(256))
_DIGIT = re.compile(r"\d")
_NUMBER = re.compile(r"\d(?<![a-zA-Z_0-9.\-/]\d)")
_IN_CODE = re.compile(r"\d[^\W\d_]+\d+[^\W\d_]+\d")
_MOST_CODES: Final = 64
_ONE_WORD = re.compile(r"[\W_]*+[\w\-]++[\W_]*+")
_MARKS: Final = frozenset("'’ʼ-‐‑")
_WITH_DIGITS = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_ELIDED_TOO = re.compile(r"(?:[cdjlmnst]|qu)(?=['’][^\W_]{2})|[^\W_]+(?:['’][^\W_]+)*")  # "d'Oslo" is two words
_BLANK: Final = "|"
_CUE_REACH: Final = 40
_APOSTROPHES = ("'", "’", "ʼ")
_GAP = re.compile(r"[ \t\u00a0\u202f]{1,3}|\.[ \t\u00a0]?")
_SENTENCE_END = re.compile(r"[.!?:;\n]")
# "d'Edwina" and "l'adresse": an article or preposition, not a part of the name (which would be D'Edwina).
_ELIDED = re.compile(r"(?:[cdjlmnst]|qu|dell|all|dall|nell|sull|un|quell)['’ʼ](?=[^\W\d_]{2})")

Cue = Literal["title", "certain", "customer", "switch", "speaker"]
"""`certain` and `customer` say that a name follows, the second less surely; `switch` is "what about"."""

_NAME_IS = {
    (name, verb)
    for name in ("name", "nom", "nombre", "nome", "naam")
    for verb in ("is", "ist", "est", "es", "è", "é")
}
_MY = frozenset(("my", "mein", "mon", "mi", "mio", "mijn", "meu"))
_WIDEST_CUE_GAP = 4  # "name: ", "customer - "


class Word(NamedTuple):
    """A word without its possessive; `joined` when only a space parts it from the word before."""

    text: str
    low: str
    start: int
    end: int
    owner: bool
    capital: bool
    joined: bool
    initial: bool  # first of its sentence
    comma: bool  # behind a comma


class TextScan:
    """A text, its words, and what is left to read of it. `taken_back`: where ids begin that are none after all."""

    taken_back: tuple[int, ...] = ()
    reach = (0, 0)  # of all marked words
    numeric = numbered = False
    codes: Sequence[tuple[int, int]] = ()
    _parts: Sequence[str] = ()  # what stands between the runs, and the runs
    _runs: list[Token] | None = None
    _left: tuple[str, Sequence[str], frozenset[str]] | None = None

    def __init__(self, text: str, words: frozenset[str] | None = None) -> None:
        """Take a text apart. `words`: those of the text before figures took the place of some.

        `low` is the text in lower case, each character at its place; `words` are its runs of letters, `keywords`
        those of them that some reader looks for; `marked` are the places of `marked_words`; `codes` those of
        them whose letters and digits take turns; `numeric`: digits are in others, `numbered`: also a number that
        neither stands in a word nor goes on behind a dot, a slash or a hyphen.
        """
        self.text = self.left = text
        low = text.lower()
        # `left` is what is left to read, `left_low` the same in lower case.
        self.low = self.left_low = low = low if len(low) == len(text) else "".join(c.lower()[0] for c in text)
        self.marked = marked = marked_words(text)
        if marked:
            self.reach = reach = marked[0][0], marked[-1][1]
            # Words like 18c3f2-7, whose letters are no words: they stand between digits, in two places or more.
            self.codes = [
                (start, end)
                for start, end in marked[:_MOST_CODES]
                if _IN_CODE.search(low, start, end) and _ONE_WORD.fullmatch(low, start, end)
            ]
            if len(self.codes) < len(marked):
                self.numeric = "_" not in low or _DIGIT.search(low) is not None
                self.numbered = self.numeric and _NUMBER.search(low, *reach) is not None
        if not low.isascii():
            self._parts = _RUN.split(low)
        if words is None:
            for start, end in reversed(self.codes):
                low = low[:start] + low[end:]
            order = ascii_words(text) if not marked and text.isascii() else _split_letters(low)
            words = frozenset(order)
            self._left = text, order, words
        self.words = words
        self.keywords = words & KEYWORDS

    @property
    def runs(self) -> list[Token]:
        """The runs of letters and of digits with their places, which most texts do without."""
        if self._runs is None:
            parts = self._parts or _ASCII_RUN.split(self.low)
            places = list(accumulate(map(len, parts)))
            self._runs = list(zip(places[::2], places[1::2], parts[1::2], strict=False))
        return self._runs

    def words_left(self) -> frozenset[str]:
        """The words in lower case of what is left."""
        return self.words if self.left is self.text else self._words_left()[2]

    def order_left(self) -> Sequence[str]:
        """The words in lower case of what is left, in order."""
        return self._words_left()[1]

    def _words_left(self) -> tuple[str, Sequence[str], frozenset[str]]:
        known = self._left
        if known is None or known[0] is not self.left:
            words = _split_letters(self.left_low)
            known = self._left = self.left, words, frozenset(words)
        return known

    def blank_codes(self) -> None:
        """Leave nothing of them to read that is not read yet."""
        known = self._left if self.left is self.text else None  # which has none of their letters
        for start, end in self.codes:
            self.blank(start, end)
        if known is not None:
            self._left = self.left, known[1], known[2]

    def whole_words(self, *, elided: bool) -> list[Token]:
        """Words that may have digits and apostrophes in them; with `elided` French and Italian articles are apart."""
        low = self.low.replace("’", "'")
        if not self.numeric and not self.codes and "'" not in low:
            return self.runs
        pattern = _ELIDED_TOO if elided and "'" in low else _WITH_DIGITS
        return [(*match.span(), match[0]) for match in pattern.finditer(low)]

    def is_announced(self, start: int, pattern: re.Pattern[str], beginnings: frozenset[str]) -> bool:
        """Whether `pattern`, which begins with one of the keywords, ends right before `start`."""
        return not beginnings.isdisjoint(self.keywords) and any(
            pattern.match(self.left, begin, start)
            for word in self.keywords & beginnings
            for begin in self._places_of(word, max(0, start - _CUE_REACH), start)
        )

    def starts_of(self, words: frozenset[str]) -> list[int]:
        """Where the words begin, in order. `words`: keywords of any text."""
        found: list[int] = []
        for word in self.keywords & words:
            found += self._places_of(word, 0, len(self.low))
        found.sort()
        return found

    def _places_of(self, word: str, start: int, end: int) -> list[int]:
        """Where a run of letters begins, between two places."""
        low, length, found = self.low, len(word), []
        at = low.find(word, start, end)
        while at >= 0:
            if not (low[at - 1 : at].isalpha() or low[at + length : at + length + 1].isalpha()):
                found.append(at)
            at = low.find(word, at + length, end)
        return found

    def blank(self, start: int, end: int) -> None:
        blank = _BLANK * (end - start)
        self.left = self.left[:start] + blank + self.left[end:]
        self.left_low = self.left_low[:start] + blank + self.left_low[end:]

    def is_read(self, start: int) -> bool:
        """Whether something was read there already."""
        return self.left[start : start + 1] == _BLANK and self.text[start] != _BLANK

    def before(self, start: int) -> str:
        return self.left[start - _CUE_REACH if start > _CUE_REACH else 0 : start]


def _split_letters(low: str) -> list[str]:
    """The runs of letters of a text in lower case, in a quarter of the time that a pattern takes."""
    return low.encode().translate(_ASCII_LETTERS).decode().split() if low.isascii() else LETTERS.findall(low)


def matches_at(pattern: re.Pattern[str], text: str, starts: Iterable[int]) -> Iterator[re.Match[str]]:
    """The matches that begin at `starts`, which are in order; each begins behind the one before."""
    reached = 0
    for start in starts:
        if start >= reached and (match := pattern.match(text, start)):
            reached = match.end()
            yield match


def split_words(page: TextScan, *, elided: bool = False) -> list[Word]:
    """The words of what is left of a text; with `elided` the articles of French and Italian are left off."""
    words: list[Word] = []
    text = page.left
    marked = not _MARKS.isdisjoint(text)
    tokens = _with_marks(page) if marked else page.runs
    joined_before, reached = False, 0  # whether the word before has no possessive
    for start, end, low in tokens:
        if text[start] == _BLANK or low.isdecimal():
            continue
        owner = False
        if low == "s" and words and _is_possessive(text, words[-1], reached, start):
            words[-1] = words[-1]._replace(owner=True)
            joined_before, reached = False, end
            continue
        until = end
        if marked:
            if elided and (article := _ELIDED.match(text, start, end)):
                start, low = article.end(), low[article.end() - start :]
            if low[-1] == "s" and low[-2:-1] in _APOSTROPHES:
                until, low, owner = end - 2, low[:-2], True
            elif low[-1] == "s" and text[end : end + 1] in _APOSTROPHES:
                owner = True
        if start - reached == 1 and text[reached] == " " and words:  # most words
            joined, initial, comma = joined_before, False, False
        else:
            gap = text[reached:start]
            joined = bool(words) and _joins(gap, words[-1])
            initial = not words or (not joined and _SENTENCE_END.search(gap) is not None)
            comma = gap == ", "
        # As `Word(...)`, which takes twice as long.
        word = (text[start:until], low, start, until, owner, text[start] != low[0], joined, initial, comma)
        words.append(tuple.__new__(Word, word))
        joined_before, reached = not owner, end
    return words


def _with_marks(page: TextScan) -> list[Token]:
    """The runs, those with an apostrophe or a hyphen between them as one word."""
    tokens: list[Token] = []
    before, reached = "", -1
    for start, end, word in page.runs:
        if start == reached + 1 and before.isalpha() and word.isalpha() and page.left[reached] in _MARKS:
            begin = tokens[-1][0]
            tokens[-1] = (begin, end, page.low[begin:end])
        else:
            tokens.append((start, end, word))
        before, reached = word, end
    return tokens


def _is_possessive(text: str, before: Word, reached: int, start: int) -> bool:
    """ "jane roe s balance", "Smith Jr.'s"."""
    gap = text[reached:start]
    return gap in (".'", ".’") or (gap == " " and text[start] == "s" and len(before.text) > 1)


def _joins(gap: str, before: Word) -> bool:
    if before.owner or not _GAP.fullmatch(gap):
        return False
    return gap[0] != "." or len(before.text) == 1 or before.low in TITLES


def cue_before(words: Sequence[Word], i: int, vocabulary: Vocabulary) -> Cue | None:
    """What the words before word `i` say about it, if anything."""
    if i == 0 or words[i].start - words[i - 1].end > _WIDEST_CUE_GAP:
        return None
    before = words[i - 1].low
    if before in TITLES:
        return "title"
    pair = (words[i - 2].low, before) if i > 1 else (before,)
    cue = vocabulary.cues.get(pair) or vocabulary.cues.get((before,))
    # "Her name is", "the name is": the customer's. Only "my name is" is the speaker's.
    if pair in _NAME_IS:
        return "speaker" if i > 2 and words[i - 3].low in _MY else "certain"
    return cast("Cue | None", cue)
