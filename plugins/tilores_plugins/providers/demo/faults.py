"""What an answer becomes where a simulated model's weakness shows; see `weaknesses`."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Final

from tilores_plugins.providers.demo.reading import Reading, readings
from tilores_plugins.providers.demo.weaknesses import WEAKNESSES, draw
from tilores_plugins.providers.demo.words import set_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tilores_plugins.providers.demo.asking import Picks
    from tilores_plugins.providers.demo.habits import Habits
    from tilores_plugins.providers.demo.reading import Field, Sheet
    from tilores_plugins.providers.demo.weaknesses import Fault

_ADDED: Final = 3
_FORMER: Final = ("{}_previous", "previous_{}", "{}_before", "{}_3m_ago", "{}_6m_ago", "{}_12m_ago")
_OTHER_UNIT: Final = (
    (set_of("second seconds"), "minutes"),
    (set_of("minute minutes"), "hours"),
    (set_of("hour hours"), "days"),
    (set_of("days"), "weeks"),
    (set_of("years tenure"), "months"),
    (set_of("km"), "miles"),
)
_SHARES: Final = set_of("rate percent utilization ratio share")
_MONEY: Final = set_of(
    "amount balance limit income spending debt salary fees value cashback refund interest used available"
    " minimum earned paid"
)
_PADDING: Final = (
    "I hope that this overview is helpful to you today. Please do note that I have looked very carefully through "
    "each and every one of the sections that were made available to me before I put this answer together for you. "
    "Should there be anything else at all that you would like me to look into, or should you wish me to go into more "
    "detail on any of the points above, then please do not hesitate to let me know at any time, and I will be only "
    "too glad to help you with that as well."
)


def apply_to_habits(model: str, fault: Fault | None, habit: Habits) -> Habits:
    """The habits of a model: what its weakness is about depends on whether it shows, not on the wording."""
    weakness = WEAKNESSES.get(model)
    name = {"rounding": "exact", "guessing": "strict", "verbose": "brief"}.get(weakness.fault if weakness else "")
    return habit if name is None else dataclasses.replace(habit, **{name: fault is None})


def change_picks(picks: Picks, fault: Fault | None, sheet: Sheet) -> Picks:
    """The fields that are answered from, with the weaknesses `outdated`, `partial` and `unasked`."""
    fields = picks.fields
    if fault == "outdated":
        fields = tuple(_former(field, sheet) for field in fields)
    elif fault == "partial" and len(fields) + len(picks.missing) > 1:
        fields, missing = fields[: -(-len(fields) // 2)], picks.missing[: 0 if fields else 1]
        return dataclasses.replace(picks, fields=fields, missing=missing)
    elif fault == "unasked" and fields:
        near = [field for field in sheet.of_topic(fields[-1].topic) if field not in fields]
        fields = (*fields, *[field for field in near if _is_figure(field)][:_ADDED])
    return dataclasses.replace(picks, fields=fields)


def change_readings(found: Sequence[Reading], fault: Fault | None) -> list[Reading]:
    """The values of a field, newest first; with the weakness `outdated` the oldest, with `partial` half a list."""
    if fault == "outdated":
        return [found[-1]]
    if fault == "partial":
        return [
            Reading(one.value[: -(-len(one.value) // 2)], one.source) if isinstance(one.value, list) else one
            for one in found
        ]
    return list(found)


def change_figure(text: str, field: Field, fault: Fault | None) -> str:
    """A figure as spoken, with another unit than its own under the weakness `units`."""
    about = "about " if text.startswith("about ") else ""
    figure = text.removeprefix(about)
    if fault != "units" or not _is_number(figure):
        return text
    words = frozenset(field.words) | frozenset(field.name.lower().split("_"))
    for own, other in _OTHER_UNIT:
        if words & own:
            return f"{text} {other}"
    if words & _SHARES:
        return f"{about}{float(figure) / 100:g} percent"
    return f"{text} yen" if words & _MONEY else text


def invent_sentences(what: Sequence[str], subject: str, seed: int) -> list[str]:
    """Sentences with figures for what no field holds: the weakness `guessing`."""
    return [f"{subject}'s {words} is {1000 + int(draw(seed, subject, words) * 9000)}." for words in what]


def pad_answer(text: str) -> str:
    """The answer with the weakness `verbose`."""
    points = "\n".join(f"- **{sentence}**" for sentence in text.split(". "))
    return f"## Answer\n\nThank you very much for your question.\n\n{points}\n\n{_PADDING}"


def _former(field: Field, sheet: Sheet) -> Field:
    for pattern in _FORMER:
        name = pattern.format(field.name)
        if name in sheet.names:
            other = sheet.field(sheet.names.index(name))
            return field._replace(raw=other.raw)
    return field


def _is_figure(field: Field) -> bool:
    value = readings(field.raw)[0].value
    return _is_number(str(value)) and len(str(value)) > 2


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).removeprefix("-").isdigit()
