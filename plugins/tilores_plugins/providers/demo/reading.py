"""What the demo model takes from a system message: the instructions, and the records as a table of fields.

The records are what stands between a line that begins with `<records ` and the line `</records>`; within, `[Topic]`
opens a group and `name: value` is a field. Several values have the form `value [source] | value [source]`. A value
that begins with a quote, a brace or a bracket is JSON.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from tilores_plugins.providers.demo.words import name_words

_OPEN: Final = "<records "
_CLOSE: Final = "\n</records>"
_PLACES_REMEMBERED: Final = 500
_LEFT_OUT: Final = "(left out "
_HEADER = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*")')
_BARE = re.compile(r"[^\[|]*")
_LABEL = re.compile(r"\s*\[([^\]]*)\]")
_NEXT = re.compile(r"\s*\|\s*")
_JSON = json.JSONDecoder()


class Field(NamedTuple):
    """One line of the records; `raw` is read only when the field is asked for."""

    name: str
    raw: str
    topic: int

    @property
    def words(self) -> tuple[str, ...]:
        return name_words(self.name)

    @property
    def label(self) -> str:
        spoken = self.name.replace("_", " ").split()
        if len(spoken) > 1 and spoken[-1] in ("on", "at"):  # next_review_on
            spoken.pop()
        return " ".join(spoken)


@dataclass(frozen=True, slots=True)
class Reading:
    """One of the values of a field and, where the records show it, where it is from."""

    value: Any  # text as it stands, or what JSON gave
    source: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """A customer's records as given in the prompt.

    `names`, `raws` and `in_topic` have an entry for each line, and `words` has those of the line's name: few lines of
    hundreds are ever asked for, and an object for each would be walked over by every garbage collection.
    """

    customer_id: str = ""
    name: str = ""
    only_source: str | None = None
    topics: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    raws: tuple[str, ...] = ()
    in_topic: tuple[int, ...] = ()
    words: tuple[tuple[str, ...], ...] = ()
    shortened: bool = False
    _places: dict[str, tuple[int, ...]] = dataclasses.field(default_factory=dict, repr=False)

    def places(self, word: str) -> tuple[int, ...]:
        """Of the lines whose names have the word. Looked for when asked: few words of few prompts ever are."""
        found = self._places.get(word)
        if found is None:
            if len(self._places) >= _PLACES_REMEMBERED:
                self._places.clear()
            found = tuple([place for place, named in enumerate(self.words) if word in named])
            self._places[word] = found
        return found

    def field(self, place: int) -> Field:
        return Field(self.names[place], self.raws[place], self.in_topic[place])

    def of_topic(self, topic: int) -> tuple[Field, ...]:
        return tuple(self.field(place) for place, number in enumerate(self.in_topic) if number == topic)


@dataclass(frozen=True, slots=True)
class Prompt:
    """A system message taken apart. `sheet` is None when it holds no records."""

    instructions: str
    sheet: Sheet | None


def read_prompt(text: str) -> Prompt:
    start = 0 if text.startswith(_OPEN) else text.find("\n" + _OPEN) + 1
    if not text.startswith(_OPEN, start):
        return Prompt(text, None)
    end = text.find(_CLOSE, start)
    if end < 0:
        end = len(text)
    return Prompt(f"{text[:start]}\n{text[end + len(_CLOSE) :]}", _sheet(text[start:end].split("\n")))


def readings(raw: str) -> list[Reading]:
    """The values of a field, newest first; at least one."""
    found: list[Reading] = []
    position = 0
    while position < len(raw):
        value, position = _value(raw, position)
        label = _LABEL.match(raw, position)
        if label:
            position = label.end()
        found.append(Reading(value, label[1] if label else None))
        following = _NEXT.match(raw, position)
        if not following:
            break
        position = following.end()
    return found or [Reading("", None)]


def _value(raw: str, position: int) -> tuple[Any, int]:
    if raw[position] in '"{[':
        try:
            return _JSON.raw_decode(raw, position)
        except ValueError:
            return raw[position:], len(raw)
    bare = _BARE.match(raw, position)
    return (bare[0].strip(), bare.end()) if bare else ("", len(raw))


def _sheet(lines: Sequence[str]) -> Sheet:
    header = {key: json.loads(value) for key, value in _HEADER.findall(lines[0])}
    sources = header.get("sources", "").split("; ")
    topics: list[str] = []
    names: list[str] = []
    raws: list[str] = []
    in_topic: list[int] = []
    topic = -1
    shortened = False
    for line in lines[1:]:
        if line.startswith("["):
            topics.append(line.strip("[]"))
            topic += 1
        elif line.startswith(_LEFT_OUT):
            shortened = True
        else:
            name, colon, raw = line.partition(": ")
            if colon:
                parts = _parts(name, raw) if raw[:1] == "{" else {}
                names += [name, *parts]
                raws += [raw, *parts.values()]
                in_topic += [topic] * (1 + len(parts))
    return Sheet(
        customer_id=header.get("customer", ""),
        name=header.get("name", ""),
        only_source=sources[0] or None if len(sources) == 1 else None,
        topics=tuple(topics),
        names=tuple(names),
        raws=tuple(raws),
        in_topic=tuple(in_topic),
        words=tuple(map(name_words, names)),
        shortened=shortened,
    )


def _parts(name: str, raw: str) -> dict[str, str]:
    """The inner values of a nested one: an address in one field is asked for by its parts, too."""
    value = readings(raw)[0].value
    if not isinstance(value, dict):
        return {}
    return {
        f"{name} {key}": json.dumps(inner) for key, inner in value.items() if isinstance(inner, str | int | float)
    }
