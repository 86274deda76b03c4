"""The joint between what a caller has heard and what another model goes on with.

Asked to go on in the middle, models go on; or say the last words once more, or the sentence, or all of it; or begin
the sentence again in other words. What they repeat is cut off here.
"""

from __future__ import annotations

import re
from typing import Final

WIDE: Final = r"\u2e80-\uabff\ud7b0-\U0010ffff"
"""Characters of scripts without spaces, and emojis, as a class of a pattern has them; Korean has spaces."""
# Of a script without spaces each character counts as a word.
_WORD: Final = re.compile(rf"(?=\w)[{WIDE}]|[^\W{WIDE}]+(?:['’][^\W{WIDE}]+)*")
_OWNER: Final = re.compile(r"['’]s$")
_BEGUN_AGAIN: Final = 2  # words with which a sentence that was cut off begins again
_BEGUN_WIDE: Final = 4  # the same in a script without spaces
_RETOLD: Final = 5  # words with which an answer begins again
_RETOLD_WIDE: Final = 12  # the same in a script without spaces
_TAKEN_UP: Final = 2  # words of the open sentence in one that begins with a capital: it says the same again
_CONTENT: Final = 4  # letters of a word that counts for that
_LONGEST_OPEN: Final = 200  # characters of it that are waited for
_SENTENCE: Final = re.compile(r"[.!?…。！？｡]+[\"'”’»)\]]*(?:\s+|$)|\n+|[。！？｡]+[」』”’）)】]*")
_END: Final = re.compile(r"\W*?[.!?…。！？｡\n]|\W*$")
_ENDED: Final = re.compile(r"\W*?[.!?…。！？｡\n]\W*")
_LEAD: Final = re.compile(r"\s*(?:(?P<dots>…|\.\.+)\s*|\.?)")
# What some say of the interruption, though they are asked not to.
_POLITE: Final = re.compile(
    r"\s*(?:sure|certainly|okay|ok|absolutely|apologies|sorry|continuing|here)\b", re.IGNORECASE
)
_PREAMBLE: Final = re.compile(
    r"""\s*(?:(?:sure|certainly|okay|ok|absolutely)[,.!:]|(?:apologies|sorry)\ for\b|continuing\ (?:from|where)\b
    |here(?:['’]s|\ is)\b)(?P<told>[^\n]{0,100}?
    \b(?:continuing|continuation|interruption|(?:left|cut)\ off|the\ rest)\b[^:\n.!]{0,40}[:.!\n]+\s+)?""",
    re.IGNORECASE | re.VERBOSE,
)
_SHORT_PREAMBLE: Final = 16  # characters that tell whether it is one
_LONGEST_PREAMBLE: Final = 160  # characters
_CLOSING: Final = ".,;:!?…)]}%»”’\"'、。，；：！？"
_MARKS: Final = ".,;:!?…、。，；：！？"
_WIDE: Final = "、。，；：！？｡」』）】”"
_IS_WIDE: Final = re.compile(f"[{WIDE}]")
_LAST_UNSPACED: Final = re.compile(r"[\u2e80-\u9fff]\Z")
# What opens something, or begins a line of a list or a table.
_OPENING: Final = re.compile(r"[^\s\w.,;:!?…)\]}%»”’、。，；：！？]+[^\S\n]*\Z")
_STOPS: Final = re.compile("[.!?…。！？｡]")
_RESTART: Final = "– "
# Words with a capital letter that begin a sentence, and seldom stand in one.
_BEGINNING: Final = re.compile(
    r"""
    A|According|After|All|Apologies|And|As|At|Because|But|For|From|He|Her|Here|His|However|If|In|It|Its|My|No|On|Our|She|Since|So|Sorry
    |Based|Certainly|Continuing|Currently|Hello|Let|Okay|Please|Sure|That|Thank|The|Their|There|These|They|This|Those|To
    |Unfortunately|We|Well|When|While|With|Yes|You|Your
    |Aber|Auf|Das|Der|Die|Ein|Eine|Er|Es|Für|Hier|Ihr|Ihre|Im|Ja|Laut|Nein|Sein|Seine|Sie|Und|Wenn|Wir
    """,
    re.VERBOSE,
)
# What makes a sentence of its own of words behind a verb, unless a joining word or a comma comes before.
_VERB: Final = re.compile(
    r"is|are|was|were|has|have|had|does|did|do|can|could|will|would|should|must|shows?|says?|lives|owes|pays"
    r"|ist|sind|war|waren|hat|haben|hatte|wird|werden|kann|zeigt|zeigen|est|sont|était|ont|es|son|está|tiene"
)
_JOINING: Final = re.compile(r"and|or|but|who|which|that|where|when|whose|und|oder|aber|et|ou|mais|qui|que|y|o|pero")
_CLAUSE: Final = re.compile(r"[^,;:()–—\n]*")


class CannotJoinError(Exception):
    """What the next model says does not go on where the one before broke off."""


class Joint:
    """Feed the pieces that come behind `said` and get back what is to follow it.

    Text is held back while it may be a repetition: until a word comes that was not said. Raises `CannotJoinError`
    when it begins the answer again in other words.
    """

    def __init__(self, said: str) -> None:
        self._said = said
        words = list(_WORD.finditer(said))
        self._words = [match.group().casefold() for match in words]
        self._starts = [match.start() for match in words]
        self._end = words[-1].end() if words else 0
        ends = [0, *(match.end() for match in _SENTENCE.finditer(said))]
        self._is_open = bool(said[ends[-1] :].strip())
        begins = {end: next((at for at, match in enumerate(words) if match.start() >= end), -1) for end in ends}
        self._begins = set(begins.values())  # the words with which sentences begin
        self._open_word = begins[ends[-1]]
        self._begins_lower = self._open_word >= 0 and words[self._open_word].group()[0].islower()
        opening = _OPENING.search(said)
        self._opening = opening.group().rstrip() if opening else ""
        self._held = ""
        self._done = not (words or self._opening)
        self._leads = not self._done  # dots may come, by which some say that they go on
        self._only = said.strip() if is_first_word(said) else ""

    @property
    def decided(self) -> bool:
        """What comes now is passed on as it is."""
        return self._done

    def feed(self, text: str, *, final: bool = False) -> str:
        """What follows `said` of the text so far; `final`: no more comes."""
        if self._done:
            return text
        self._held += text
        if self._leads and not self._skip_lead(final=final):
            return ""
        found = self._follow(final=final)
        if found is None:
            return ""
        self._done, held, self._held = True, self._held, ""
        at, restarts = found
        rest = held.lstrip()
        if self._opening and not at and rest.startswith(self._opening):
            rest = rest[len(self._opening) :]
            return rest.lstrip() if self._said[-1:].isspace() else rest
        if restarts:
            return restart(self._said, held[at:])
        return held[at:] if self._only and at else self._space(held[at:])

    def _skip_lead(self, *, final: bool) -> bool:
        """Leave out what stands before the text; False: it is not known yet."""
        held = self._held
        if self._is_open and _POLITE.match(held):
            preamble = _PREAMBLE.match(held)
            if preamble and preamble["told"]:
                held = self._held = held[preamble.end() :]
            elif len(held) < (_LONGEST_PREAMBLE if preamble else _SHORT_PREAMBLE) and not final:
                return False
        led = _LEAD.match(held)
        if led is None or ((led.end() == len(held) or (self._is_open and held.strip().isalpha())) and not final):
            return False
        self._leads, self._held = False, held[led.end() if led["dots"] else 0 :]
        return True

    def _follow(self, *, final: bool) -> tuple[int, bool] | None:
        """Where in the held text the new begins, and whether the open sentence begins again; None: not known yet."""
        held, words = self._held, self._words
        found = list(_WORD.finditer(held))
        if found and not final and held[found[-1].end() :] in ("", "'", "’"):
            found.pop()  # the word may go on
        if self._only and found:
            first = found[0].group()
            if first.casefold().startswith(self._only.casefold()):
                return found[0].start() + len(self._only), False
            return 0, not first[0].islower()
        if not words:
            return (0, False) if found or final else None
        candidates = list(range(len(words)))  # where in `said` the new words may stand already
        overlap, retold, begun, ended = 0, 0, 0, 0
        for number, match in enumerate(found, 1):
            word = match.group().casefold()
            candidates = [at for at in candidates if at + number <= len(words) and words[at + number - 1] == word]
            if not candidates:
                break
            if candidates[-1] + number == len(words):
                overlap = number
            retold = number if candidates[0] == 0 else retold
            begun = number if self._open_word in candidates else begun
            ended = number if self._open_word - number in candidates else ended
        else:
            if not final:
                return None
        first = found[0].group() if found else ""
        if overlap and (at := self._behind_marks(found[overlap - 1].end(), final=final)) is None:
            return None
        if overlap and at is not None and self._is_repetition(found[overlap - 1].end(), at, overlap, first):
            return at, False
        if self._is_open and ended and (mark := _ENDED.match(held, found[ended - 1].end())):
            # The last sentences once more, and the open one otherwise: not "No." behind "flat no. is", nor an open
            # sentence that ends as the one before did.
            if self._open_word - ended in self._begins and (ended > 1 or self._open_word == ended):
                return mark.end(), True
            following = next((match for match in found if match.start() >= mark.end()), None)
            if ended > 1 and following is None and not final:
                return None
            if ended > 1 and following and following.group().casefold() == words[self._open_word]:
                return mark.end(), True
        wide = _IS_WIDE.match(first) is not None
        most = _RETOLD_WIDE if wide else _RETOLD
        if retold >= most and not (self._is_open and self._open_word == 0):
            raise CannotJoinError
        if found and _STOPS.search(held, 0, found[0].start()):
            return 0, False  # it ends the open sentence first
        again = begun >= (_BEGUN_WIDE if wide else _BEGUN_AGAIN) and first[0].islower() <= self._begins_lower
        if not self._is_open or again or _BEGINNING.fullmatch(first):
            return 0, self._is_open
        if not first[:1].isupper():
            return 0, False
        end = _SENTENCE.search(held, found[0].end())
        if end is None and not final and len(held) < _LONGEST_OPEN:
            return None  # a name that goes on, or a sentence of its own: what it says tells
        return 0, self._takes_up(held[: end.end() if end else len(held)])

    def _takes_up(self, sentence: str) -> bool:
        """Does a sentence speak of what the open one speaks of? One that goes on has no need to name it again."""
        opened = [_OWNER.sub("", word) for word in self._words[self._open_word :]]
        words = [_OWNER.sub("", match.group().casefold()) for match in _WORD.finditer(sentence)]
        again = {word for word in words if len(word) >= _CONTENT and word in opened}
        if len(again) >= _TAKEN_UP or (len(opened) > 1 and words[0] == opened[0]):
            return True
        clause = _CLAUSE.match(sentence)
        own = [match.group().casefold() for match in _WORD.finditer(clause.group() if clause else "")]
        verb = next((at for at, word in enumerate(own) if at and _VERB.fullmatch(word)), None)
        joined = any(map(_JOINING.fullmatch, own[:verb]))
        return verb is not None and not joined and any(map(_VERB.fullmatch, opened))

    def _behind_marks(self, end: int, *, final: bool) -> int | None:
        """Where the held text goes on behind words that end at `end` and the marks that were said behind them."""
        marks, rest = self._said[self._end :].split(), self._held[end:]
        if not marks:
            return end
        if found := re.match("".join(rf"\s*{re.escape(mark)}" for mark in "".join(marks)), rest):
            return end + found.end()
        return None if "".join(marks).startswith("".join(rest.split())) and not final else end

    def _is_repetition(self, end: int, at: int, words: int, first: str) -> bool:
        """Are the first `words` of the held text, which end at `end`, the last ones that were said? `at`: where it
        goes on, behind the marks that were said behind them. The same marks before them tell as much."""
        if not self._is_open:  # a sentence that only begins alike is another one
            return _END.match(self._held, end) is not None
        # A digit may well follow the same digit; and with a capital a sentence begins.
        begins = _BEGINNING.fullmatch(first) and not self._said.rstrip().endswith(first)
        if _IS_WIDE.match(first):
            return words > 1 or words == len(self._words) - self._open_word
        before = self._held.partition(first)[0].strip()
        marked = before and self._said[: self._starts[-words]].rstrip().endswith(before)
        return bool(words > 1 or at > end or marked) or not (begins or first.isdigit())

    def _space(self, text: str) -> str:
        """The rest with just the white space and marks that it needs behind what was said."""
        said, rest = self._said, text.lstrip()
        if not rest:
            return ""
        last = said.rstrip()[-1:]
        if last in _CLOSING and (not self._is_open or rest[0] == last):
            rest = rest.lstrip(_MARKS).lstrip()
        if not rest or said[-1:].isspace():
            return rest
        glued = rest[0] in _CLOSING or said[-1:] in _WIDE or said[-1:] in "([{«“-–—/'’"
        unspaced = _LAST_UNSPACED.search(said) is not None and text[:1] == rest[:1]
        if glued or unspaced or (text[:1] == rest[:1] and _in_one_word(said, rest)):
            return rest
        return f" {rest}"


def is_first_word(said: str) -> bool:
    """Is it one word, perhaps not all of it? Then an answer begins as well as it goes on."""
    return said.strip().isalpha() and not said[-1:].isspace() and not _IS_WIDE.search(said)


def open_sentence(said: str) -> int:
    """Where the sentence begins that has not ended; the length of `said` when all have."""
    return max((match.end() for match in _SENTENCE.finditer(said)), default=0)


def restart(said: str, text: str) -> str:
    """`text` as the open sentence begun again."""
    space = "" if said[-1:].isspace() else " "
    return f"{space}{_RESTART}{text.lstrip()}"


def _in_one_word(said: str, rest: str) -> bool:
    """Was it cut within a word? Only a script without spaces, or a very long word, is."""
    return bool(_IS_WIDE.match(said[-1]) and _IS_WIDE.match(rest[0]))
