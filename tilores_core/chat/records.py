"""One customer's records as text for a model, and as a fingerprint for the cache.

The text is one block, one field a line, grouped by spectrum:

    <records customer="C-17" name="Edwina Hawthorne" sources="crm 2026-03-01; web_portal 2019-04-02" unsure="city">
    [Contact]
    email: edwina@example.com
    city: Leeds [crm 2026-03-01] | York [web_portal 2019-04-02]
    (left out for length: 12 of 310 fields: Temporal analysis 9, Other 3)
    </records>

The header says what to be careful with, and nothing where there is no need: `match="weak"` (the search that found
the customer fitted poorly), `consistency="low"` (the records contradict each other much), `unsure` (fields whose
sources disagree).

A value stands as it is unless a character in it could be taken for a part of this layout (a line break, a bracket, a
bar, a control character); then it is written as a JSON string, which loses nothing and stays on its line. So no
value can begin a line, open or close the block, or pass for a second value.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from tilores_core.chat.context.quality import confidence, is_inconsistent, list_differences, unsure_fields
from tilores_core.spectrums import SpectrumSet, current_spectrums

if TYPE_CHECKING:
    from tilores_core.contracts import Customer, Record

_LAYOUT: Final = 2  # part of every fingerprint; raise it when the same records come to be rendered otherwise
_OPENING: Final = "<records "
_END: Final = "</records>"
_LEFT_OUT: Final = "(left out for length: "
_NOTE_SHARE: Final = 12  # what is left out is counted by section where that takes less than a twelfth of the budget
_OTHER: Final = ""
_MAX_NAME: Final = 100
_MAX_LABEL: Final = 60
_MAX_SOURCES: Final = 8
_MAX_UNSURE: Final = 12

# Line breaks of every kind, controls, marks that turn the direction of writing or have no width, lone surrogates.
_INVISIBLE = r"\x00-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060\u2066-\u2069\ufeff\ud800-\udfff"
_WITHOUT_MARKS = re.compile(r'[^<>|\[\]"{][^<>|\[\]]*')
_MARKS: Final = ("<", ">", "|", "[", "]", ' "', " {")  # the last two begin a value in a text of all, put together
_PLAIN = re.compile(rf'[^{_INVISIBLE}<>|\[\]"{{][^{_INVISIBLE}<>|\[\]]*')
_ESCAPED = re.compile(rf"[{_INVISIBLE}<>]")
_NOT_IN_LABEL = re.compile(rf'[{_INVISIBLE}<>|\[\]",;]+')
_NOT_IN_NAME = re.compile(r"[^\w .()/%&+#'-]+")


def render(customer: Customer, *, budget: int | None = None, spectrum: str | None = None) -> str:
    """The block described above for one customer.

    Where records disagree, every distinct value is shown with its system and date, newest first. `budget` is in
    characters, see `shorten`.
    """
    records = sorted(customer.records, key=lambda record: (record.updated_at or "", record.id), reverse=True)
    labels = [_label(record) for record in records]
    table = _table(records, labels)
    parts = [_header(customer, labels, table)]
    for name, title in _sections():
        if lines := table.sections[name]:
            parts += [title, *lines]
    text = "\n".join([*parts, _END])
    return text if budget is None else shorten(text, budget, spectrum=spectrum)


def shorten(text: str, budget: int, *, spectrum: str | None = None, measure: Callable[[str], int] = len) -> str:
    """What `render` made, with no more fields than fit into `budget`; what was left out is said in its last line.

    `measure` says what a piece of text costs; two pieces may cost more apart than joined, never less. Fields of
    `spectrum` are kept before others, then those that come first. The header and the last line are always
    there, so a tiny budget can be exceeded by them.
    """
    if measure(text) <= budget:
        return text
    header, sections, end = _parse(text)
    total = sum(len(lines) for _, lines in sections)
    note = _note(total, total, [(title, len(lines)) for title, lines in sections])
    in_detail = measure(note) * _NOTE_SHARE <= budget
    room = budget - sum(measure(f"{line}\n") for line in (header, note if in_detail else _note(total, total), end))
    kept = _fit(sections, room, dict(_sections()).get(spectrum, "") if spectrum else "", measure)
    missing = [(title, len(lines) - len(kept[title])) for title, lines in sections if len(lines) > len(kept[title])]
    parts = [header]
    for title, lines in kept.items():
        parts += [title, *lines] if lines else []
    left_out = sum(count for _, count in missing)
    parts += [_note(left_out, total, missing if in_detail else ()), end]
    return "\n".join(parts)


def section(text: str, spectrum: str) -> str:
    """What `render` made, with the fields of one spectrum alone; the last line says so when there are others."""
    header, sections, end = _parse(text)
    wanted = dict(_sections())[spectrum]
    rest = sum(1 + len(lines) for title, lines in sections if title != wanted)
    note = [f"(left out as only {wanted} was asked for: {rest} lines)"] if rest else []
    return "\n".join([header, wanted, *dict(sections).get(wanted, ()), *note, end])


def _parse(text: str) -> tuple[str, list[tuple[str, list[str]]], str]:
    """The first line of what `render` made, the titles of its sections with their lines, and the last line."""
    header, *body, end = text.split("\n")
    sections: list[tuple[str, list[str]]] = []
    for line in body:
        if line.startswith("["):  # no field's name begins so
            sections.append((line, []))
        else:
            sections[-1][1].append(line)
    return header, sections, end


def mark_weak(text: str) -> str:
    """What `render` made, for a search that the customer fits only poorly."""
    return text.replace(_OPENING, f'{_OPENING}match="weak" ', 1)


def fingerprint(customer: Customer) -> str:
    """SHA-256 (hex) of all that `render` shows: id, name, quality and records; in whatever order the latter come.

    It stands for the customer in the key of an answer, so all that a model gets must be in it. How well the
    customer fitted one search is not: that belongs to the search, and goes into the key beside this.
    """
    sections = current_spectrums().digest
    layout = (_LAYOUT, sections) if sections else _LAYOUT
    rows: list[object] = [layout, customer.id, customer.name, list_differences(customer.quality)]
    rows += [
        (record.id, record.system, record.updated_at, record.fields)
        for record in sorted(customer.records, key=lambda record: record.id)
    ]
    try:
        canonical = orjson.dumps(rows, default=_plain, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # integers beyond 64 bits, lone surrogates
        canonical = json.dumps(rows, default=_plain, sort_keys=True).encode()
    return hashlib.sha256(canonical).hexdigest()


class _Table(NamedTuple):
    """The lines by section; the fields there are; how many of them several records have; what those differ in."""

    sections: dict[str, list[str]]
    names: dict[str, Any]
    shared: int
    disputed: dict[str, float]


def _header(customer: Customer, labels: list[str], table: _Table) -> str:
    sources = labels[:_MAX_SOURCES]
    if len(labels) > _MAX_SOURCES:
        sources.append(f"{len(labels) - _MAX_SOURCES} more")
    name = f" name={_quote(customer.name)}" if customer.name else ""
    low = is_inconsistent(customer.quality, table.shared, table.disputed)
    doubts = ' consistency="low"' if low else ""
    if unsure := [_display_name(field) for field in unsure_fields(customer.quality, table.names, table.disputed)]:
        more = [f"{len(unsure) - _MAX_UNSURE} more"] if len(unsure) > _MAX_UNSURE else []
        doubts += f' unsure="{", ".join(unsure[:_MAX_UNSURE] + more)}"'
    return f'{_OPENING}customer={_quote(customer.id)}{name} sources="{"; ".join(sources)}"{doubts}>'


def _table(records: list[Record], labels: list[str]) -> _Table:
    newest: dict[str, Any] = {}
    origin: dict[str, str] = {}
    agreed: dict[str, int] = {}
    rivals: dict[str, list[tuple[Any, str]]] = {}
    for record, label in zip(records, labels, strict=True):
        for name, value in record.fields.items():
            if value is None or value == "":
                continue
            if name not in newest:
                newest[name], origin[name] = value, label
            elif value == newest[name]:
                agreed[name] = agreed.get(name, 0) + 1
            else:
                rivals.setdefault(name, []).append((value, label))
    sections: dict[str, list[str]] = {name: [] for name, _ in _sections()}
    disputed: dict[str, float] = {}
    spectrums = current_spectrums()
    text_of = _text_of(records)
    for name, value in newest.items():
        text = text_of(value)
        if name in rivals:
            others = [(text_of(other), label) for other, label in rivals[name]]
            shown = _disagreeing(text, origin[name], others)
            if shown != text:
                held = [text] * (1 + agreed.get(name, 0))
                disputed[name] = confidence(held + [other for other, _ in others])
                text = shown
        section, field = _place(name, spectrums)
        sections[section].append(f"{field}: {text}")
    return _Table(sections, newest, len(agreed.keys() | rivals.keys()), disputed)


def _disagreeing(text: str, label: str, rivals: list[tuple[str, str]]) -> str:
    """Each distinct value once, under the newest record that has it."""
    distinct = {text: label}
    for rival, other in rivals:
        distinct.setdefault(rival, other)
    if len(distinct) == 1:  # they differed in white space or in number type only
        return text
    return " | ".join([f"{shown} [{source}]" for shown, source in distinct.items()])


def _fit(
    sections: list[tuple[str, list[str]]], room: int, first: str, measure: Callable[[str], int]
) -> dict[str, list[str]]:
    """The lines that fit into `room`, by title: those of the section `first` before all others."""
    kept: dict[str, list[str]] = {title: [] for title, _ in sections}
    for title, lines in sorted(sections, key=lambda section: section[0] != first):
        opening = measure(f"{title}\n")
        for line in lines:
            cost = measure(f"{line}\n") + (0 if kept[title] else opening)
            if cost <= room:
                room -= cost
                kept[title].append(line)
    return kept


def _note(left_out: int, total: int, by_section: Sequence[tuple[str, int]] = ()) -> str:
    detail = ", ".join(f"{title.strip('[]')} {count}" for title, count in by_section)
    return f"{_LEFT_OUT}{left_out} of {total} fields{f': {detail}' if detail else ''})"


def _text_of(records: list[Record]) -> Callable[[Any], str]:
    """Return `_text`, or where one look at all texts together shows nothing odd, what saves looking at each."""
    texts = [value for record in records for value in record.fields.values() if type(value) is str]
    together = f" {' '.join(texts)}"
    odd = not together.isprintable() or any(mark in together for mark in _MARKS)
    return _text if odd else _plain_text


def _plain_text(value: Any) -> str:
    return (value.strip() if type(value) is str else "") or _text(value)


def _text(value: Any) -> str:  # a JSON value
    kind = type(value)
    if kind is str:
        text: str = value.strip()
        # Most values are settled by the quick test; a few printed oddly (a no-break space) only by the full one.
        if text.isprintable() and _WITHOUT_MARKS.fullmatch(text):
            return text
        return text if _PLAIN.fullmatch(text) else _quote(text)
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


def _quote(text: str) -> str:
    return _ESCAPED.sub(_escape, json.dumps(text, ensure_ascii=False))


def _escape(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"


def _plain(value: Any) -> Any:  # whatever a source put there that JSON does not know
    return dict(value) if isinstance(value, Mapping) else str(value)


def _label(record: Record) -> str:
    label = f"{record.system} {record.updated_at[:10]}" if record.updated_at else record.system
    return _NOT_IN_LABEL.sub(" ", label)[:_MAX_LABEL].strip()


@lru_cache(maxsize=8)
def _sections_of(spectrums: SpectrumSet) -> tuple[tuple[str, str], ...]:
    return (*((spectrum.name, f"[{spectrum.title}]") for spectrum in spectrums.spectrums), (_OTHER, "[Other]"))


def _sections() -> tuple[tuple[str, str], ...]:
    """The names and titles of the sections, in their order."""
    return _sections_of(current_spectrums())


@lru_cache(maxsize=4096)
def _place(name: str, spectrums: SpectrumSet) -> tuple[str, str]:
    """The section of a field and its name as shown; remembered, as the same few hundred names come all the time."""
    return spectrums.of_field(name) or _OTHER, _display_name(name)


def _display_name(name: str) -> str:
    shown = name if name.isidentifier() else _NOT_IN_NAME.sub("_", name).strip(" .()/%&+#'-")
    return shown[:_MAX_NAME] or "_"
