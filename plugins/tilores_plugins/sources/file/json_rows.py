"""JSON: one object a line, or one document that is a list of objects or an object of such lists.

A document is read piece by piece; of its rows only one is in memory at a time.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator, Mapping
from math import isfinite
from typing import Any, BinaryIO, NoReturn

from tilores_plugins.sources.file.problems import Problems
from tilores_plugins.sources.file.rows import BOM, LONGEST_ROW, Row, skip_line

_CHUNK = 256 * 1024
_DEEPEST = 3  # objects inside the document's, in which lists are looked for
_BLANK = re.compile(r"[ \t\r\n]*")
_BLANK_OR_COMMA = re.compile(r"[ \t\r\n,]*")
_NEXT_OBJECT = re.compile(r"\}[ \t\r\n]*,(?=[ \t\r\n]*\{)|\n(?=[ \t]*\{)")


_EXTENDED_INTEGERS = ("$numberInt", "$numberLong")
_EXTENDED = frozenset(("$oid", "$date", "$numberDouble", "$numberDecimal", "$uuid", *_EXTENDED_INTEGERS))


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _number(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise ValueError("a number out of range")
    return number


def _object(pairs: list[tuple[str, Any]]) -> Any:
    if len(pairs) == 1 and pairs[0][0] in _EXTENDED:  # a value as MongoDB exports it
        name, value = pairs[0]
        return int(value) if name in _EXTENDED_INTEGERS and str(value).lstrip("-").isdigit() else value
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key that is there twice")
    return found


_DECODER = json.JSONDecoder(parse_constant=_refuse, parse_float=_number, object_pairs_hook=_object)


def _parse(raw: bytes, codec: str) -> Mapping[str, Any]:
    try:
        value = _DECODER.decode(raw.decode(codec))
    except UnicodeDecodeError:
        raise ValueError(f"not {codec} (set encoding in [plugins.file])") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg}") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value


class JsonFormat:
    """A list of objects, or an object whose values are lists of objects; there the key is the row's group."""

    columns: tuple[str, ...] = ()
    doubled: frozenset[str] = frozenset()
    header_line = 1

    def __init__(self, *, encoding: str) -> None:
        self._codec = encoding.removesuffix("-sig")

    def rows(self, file: BinaryIO, problems: Problems) -> Iterator[Row]:
        return _Document(file, self._codec, problems).rows()

    def parse(self, raw: bytes) -> Mapping[str, Any]:
        return _parse(raw, self._codec)


class JsonLinesFormat(JsonFormat):
    """One object a line."""

    def rows(self, file: BinaryIO, problems: Problems) -> Iterator[Row]:
        file.seek(0)
        offset = len(BOM) if file.read(len(BOM)) == BOM else 0
        file.seek(offset)
        line = 0
        while raw := file.readline(LONGEST_ROW + 1):
            start, line = offset, line + 1
            offset += len(raw)
            if len(raw) > LONGEST_ROW:
                offset += 0 if raw.endswith(b"\n") else skip_line(file)
                problems.add(line, f"longer than {LONGEST_ROW} bytes")
                continue
            if not raw.strip():
                continue
            try:
                fields = _parse(raw, self._codec)
            except ValueError as error:
                problems.add(line, str(error))
                continue
            yield Row(start, len(raw), line, fields)


class _Document:
    """A cursor over a JSON document. `_text` is the part in memory, `_at` the next character of it.

    Bytes that are no text are kept as surrogates, so that one bad row does not end the reading and every
    offset stays right.
    """

    def __init__(self, file: BinaryIO, codec: str, problems: Problems) -> None:
        file.seek(0)
        self._offset = len(BOM) if file.read(len(BOM)) == BOM else 0
        file.seek(self._offset)
        self._file = file
        self._codec = codec
        self._decode = codecs.getincrementaldecoder(codec)(errors="surrogateescape").decode
        self._problems = problems
        self._text = ""
        self._at = 0
        self._line = 1
        self._ended = False
        self._found = False  # a row

    def rows(self) -> Iterator[Row]:
        opening = self._peek(_BLANK)
        if opening == "[":
            self._skip(1)
            yield from self._list(None)
        elif opening == "{":
            self._skip(1)
            yield from self._lists(_DEEPEST)
            if not self._found:
                self._problems.add(self._line, "the document's object holds no list of objects")
        elif opening:
            self._problems.add(self._line, "the document is neither a list nor an object")

    def _lists(self, depth: int) -> Iterator[Row]:
        """The rows of the lists in an object and in the objects inside it; single values, as an API's answer has them
        beside the list, are passed over."""
        while (character := self._peek(_BLANK_OR_COMMA)) == '"':
            key, _, _ = self._value()
            if not isinstance(key, str) or self._peek(_BLANK) != ":":
                break
            self._skip(1)
            opening = self._peek(_BLANK)
            if opening == "[":
                self._skip(1)
                yield from self._list(key)
            elif opening == "{" and depth:
                self._skip(1)
                yield from self._lists(depth - 1)
            elif isinstance(self._value()[0], _Broken):
                break
        else:
            if character == "}":
                self._skip(1)
                return
        self._problems.add(self._line, "the document breaks off here")

    def _list(self, group: str | None) -> Iterator[Row]:
        while character := self._peek(_BLANK_OR_COMMA):
            if character == "]":
                self._skip(1)
                return
            line = self._line
            value, offset, length = self._value()
            if isinstance(value, dict):
                self._found = True
                yield Row(offset, length, line, value, group)
            elif isinstance(value, _Broken):
                self._problems.add(line, value.reason)
            else:
                self._problems.add(line, "not an object")
        self._problems.add(self._line, "the document breaks off here: the list has no end")

    def _value(self) -> tuple[Any, int, int]:
        """The value at the cursor, which moves behind it, and its place in bytes; `_Broken` when there is none."""
        offset = self._offset
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                unfinished = error.msg.startswith("Unterminated") or error.pos >= len(self._text) - 8
                if unfinished and len(self._text) - self._at <= LONGEST_ROW and self._more():
                    continue
                return self._broken(f"not JSON: {error.msg}"), offset, 0
            except (ValueError, RecursionError) as error:
                nested = isinstance(error, RecursionError)
                return self._broken("nested too deeply" if nested else str(error)), offset, 0
            piece = self._text[self._at : end]
            self._skip(end - self._at)
            length = self._offset - offset
            if length > LONGEST_ROW:
                return _Broken(f"longer than {LONGEST_ROW} bytes"), offset, length
            if not piece.isascii() and any("\udc80" <= character <= "\udcff" for character in piece):
                return _Broken(f"not {self._codec} (set encoding in [plugins.file])"), offset, length
            return value, offset, length

    def _broken(self, reason: str) -> _Broken:
        """Move on to where the next object seems to begin."""
        self._skip(1)
        while (found := _NEXT_OBJECT.search(self._text, self._at)) is None:
            self._skip(max(0, len(self._text) - self._at - 1))
            if not self._more():
                self._skip(len(self._text) - self._at)
                return _Broken(reason)
        self._skip(found.end() - self._at)
        return _Broken(reason)

    def _peek(self, blanks: re.Pattern[str]) -> str:
        """The next character behind blanks, "" at the end of the file."""
        while True:
            match = blanks.match(self._text, self._at)
            assert match is not None  # the patterns match nothing, too
            self._skip(match.end() - self._at)
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def _skip(self, count: int) -> None:
        piece = self._text[self._at : self._at + count]
        self._at += count
        self._line += piece.count("\n")
        self._offset += len(piece) if piece.isascii() else len(piece.encode(self._codec, errors="surrogateescape"))

    def _more(self) -> bool:
        """Read on, dropping what is behind the cursor; False at the end of the file."""
        if self._ended:
            return False
        raw = self._file.read(_CHUNK)
        self._ended = not raw
        self._text = self._text[self._at :] + self._decode(raw, final=self._ended)
        self._at = 0
        return True


class _Broken:
    def __init__(self, reason: str) -> None:
        self.reason = reason
