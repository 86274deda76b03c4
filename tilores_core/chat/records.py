"""One customer's records as text for a model, and as a fingerprint for the cache.

The text is one block, one field a line, grouped by spectrum:

    <records customer="C-17" name="Edwina Hawthorne" sources="crm 2026-03-01; web_portal 2019-04-02">
    [Contact]
    email: edwina@example.com
    city: Leeds [crm 2026-03-01] | York [web_portal 2019-04-02]
    (left out for length: 12 of 310 fields)
    </records>

A value stands as it is unless a character in it could be taken for a part of this layout (a line break, a bracket, a
bar, a control character); then it is written as a JSON string, which loses nothing and stays on its line. So no
value can begin a line, open or close the block, or pass for a second value.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import orjson

from tilores_core.spectrums import SPECTRUMS, spectrum_of_field

if TYPE_CHECKING:
    from tilores_core.contracts import Customer, Record

_END: Final = "</records>"
_OTHER: Final = ""
_MAX_NAME: Final = 100
_MAX_LABEL: Final = 60
_MAX_SOURCES: Final = 8

# Line breaks of every kind, controls, marks that turn the direction of writing or have no width, lone surrogates.
_INVISIBLE = r"\x00-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060\u2066-\u2069\ufeff\ud800-\udfff"
_WITHOUT_MARKS = re.compile(r'[^<>|\[\]"{][^<>|\[\]]*')
_PLAIN = re.compile(rf'[^{_INVISIBLE}<>|\[\]"{{][^{_INVISIBLE}<>|\[\]]*')
_ESCAPED = re.compile(rf"[{_INVISIBLE}<>]")
_NOT_IN_LABEL = re.compile(rf'[{_INVISIBLE}<>|\[\]",;]+')
_NOT_IN_NAME = re.compile(r"[^\w .()/%&+#'-]+")

_SECTIONS: Final = (*((spectrum.name, f"[{spectrum.title}]") for spectrum in SPECTRUMS), (_OTHER, "[Other]"))


def render(customer: Customer, *, budget: int | None = None, spectrum: str | None = None) -> str:
    """The block described above for one customer.

    Where records disagree, every distinct value is shown with its system and date, newest first. `budget` is in
    characters; what does not fit is counted in the last line, and fields of `spectrum` are kept before others. The
    header and that last line are always there, so a tiny budget can be exceeded by them.
    """
    records = _newest_first(customer.records)
    labels = [_label(record) for record in records]
    sections = _sections(records, labels)
    header = _header(customer, labels)
    total = sum(map(len, sections.values()))
    if budget is not None:
        room = budget - len(header) - len(_END) - 1
        if sum(_cost(lines, title) for lines, title in _in_order(sections)) > room:
            sections = _fit(sections, room - len(_note(total, total)) - 1, spectrum)
    kept = sum(map(len, sections.values()))
    parts = [header]
    for lines, title in _in_order(sections):
        parts.append(title)
        parts += lines
    if kept < total:
        parts.append(_note(total - kept, total))
    parts.append(_END)
    return "\n".join(parts)


def fingerprint(customer: Customer) -> str:
    """SHA-256 (hex) of all that `render` shows: id, name and records; in whatever order records and fields come.

    It stands for the customer in the key of an answer, so what a model is told of must all be in it.
    """
    rows: list[object] = [customer.id, customer.name]
    rows += [
        (record.id, record.system, record.updated_at, record.fields)
        for record in sorted(customer.records, key=lambda record: record.id)
    ]
    try:
        canonical = orjson.dumps(rows, default=_plain, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # integers beyond 64 bits, lone surrogates
        canonical = json.dumps(rows, default=_plain, sort_keys=True).encode()
    return hashlib.sha256(canonical).hexdigest()


def _newest_first(records: tuple[Record, ...]) -> list[Record]:
    return sorted(records, key=lambda record: (record.updated_at or "", record.id), reverse=True)


def _header(customer: Customer, labels: list[str]) -> str:
    sources = labels[:_MAX_SOURCES]
    if len(labels) > _MAX_SOURCES:
        sources.append(f"{len(labels) - _MAX_SOURCES} more")
    name = f" name={_quoted(customer.name)}" if customer.name else ""
    return f'<records customer={_quoted(customer.id)}{name} sources="{"; ".join(sources)}">'


def _sections(records: list[Record], labels: list[str]) -> dict[str, list[str]]:
    newest: dict[str, Any] = {}
    origin: dict[str, str] = {}
    rivals: dict[str, list[tuple[Any, str]]] = {}
    for record, label in zip(records, labels, strict=True):
        for name, value in record.fields.items():
            known = newest.get(name)
            if known is None:
                if value is not None and value != "":
                    newest[name] = value
                    origin[name] = label
            elif value != known and value is not None and value != "":
                rivals.setdefault(name, []).append((value, label))
    sections: dict[str, list[str]] = {name: [] for name, _ in _SECTIONS}
    for name, value in newest.items():
        text = _text(value)
        if name in rivals:
            text = _disagreeing(text, origin[name], rivals[name])
        section, shown = _place(name)
        sections[section].append(f"{shown}: {text}")
    return sections


def _disagreeing(text: str, label: str, rivals: list[tuple[Any, str]]) -> str:
    """Each distinct value once, under the newest record that has it."""
    distinct = {text: label}
    for value, other in rivals:
        distinct.setdefault(_text(value), other)
    if len(distinct) == 1:  # they differed in white space or in number type only
        return text
    return " | ".join([f"{shown} [{source}]" for shown, source in distinct.items()])


def _in_order(sections: dict[str, list[str]]) -> list[tuple[list[str], str]]:
    return [(sections[name], title) for name, title in _SECTIONS if sections.get(name)]


def _cost(lines: list[str], title: str) -> int:
    return len(title) + 1 + sum(map(len, lines)) + len(lines)


def _fit(sections: dict[str, list[str]], room: int, spectrum: str | None) -> dict[str, list[str]]:
    """The lines that fit into `room` characters: those of `spectrum` first, then in the order of the text."""
    kept: dict[str, list[str]] = {}
    for name, title in sorted(_SECTIONS, key=lambda section: section[0] != spectrum):
        opening = len(title) + 1
        for line in sections.get(name, ()):
            cost = len(line) + 1 + (0 if name in kept else opening)
            if cost <= room:
                room -= cost
                kept.setdefault(name, []).append(line)
    return kept


def _note(left_out: int, total: int) -> str:
    return f"(left out for length: {left_out} of {total} fields)"


def _text(value: Any) -> str:  # a JSON value
    kind = type(value)
    if kind is str:
        text: str = value.strip()
        # Most values are settled by the quick test; a few printed oddly (a no-break space) only by the full one.
        if text.isprintable() and _WITHOUT_MARKS.fullmatch(text):
            return text
        return text if _PLAIN.fullmatch(text) else _quoted(text)
    if kind is int:
        return str(value)
    if kind is float:
        return str(value).removesuffix(".0")
    if kind is bool:
        return "true" if value else "false"
    try:
        text = orjson.dumps(value, default=_plain).decode()
    except TypeError:
        text = json.dumps(value, default=_plain, separators=(",", ":"))
    return _ESCAPED.sub(_escape, text)


def _quoted(text: str) -> str:
    return _ESCAPED.sub(_escape, json.dumps(text, ensure_ascii=False))


def _escape(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"


def _plain(value: Any) -> Any:  # whatever a source put there that JSON does not know
    return dict(value) if isinstance(value, Mapping) else str(value)


def _label(record: Record) -> str:
    label = f"{record.system} {record.updated_at[:10]}" if record.updated_at else record.system
    return _NOT_IN_LABEL.sub(" ", label)[:_MAX_LABEL].strip()


@lru_cache(maxsize=4096)
def _place(name: str) -> tuple[str, str]:
    """The section of a field and its name as shown; remembered, as the same few hundred names come all the time."""
    shown = name if name.isidentifier() else _NOT_IN_NAME.sub("_", name).strip(" .()/%&+#'-")
    return spectrum_of_field(name) or _OTHER, shown[:_MAX_NAME] or "_"
