"""The demo model's answers as sentences."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from tilores_plugins.providers.demo.asking import pick
from tilores_plugins.providers.demo.faults import (
    apply_to_habits,
    change_figure,
    change_picks,
    change_readings,
    invent_sentences,
    pad_answer,
)
from tilores_plugins.providers.demo.habits import habits
from tilores_plugins.providers.demo.reading import readings
from tilores_plugins.providers.demo.weaknesses import fault_of
from tilores_plugins.providers.demo.words import set_of, stem

if TYPE_CHECKING:
    from tilores_plugins.providers.demo.asking import Picks
    from tilores_plugins.providers.demo.habits import Habits
    from tilores_plugins.providers.demo.reading import Field, Prompt, Reading, Sheet
    from tilores_plugins.providers.demo.weaknesses import Fault

WITHOUT_RECORDS: Final = (
    "I am simulated-1, the simulated demo model, not a real language model. I was given no customer's records, so "
    "I cannot say anything about a customer. Name one by customer number, e-mail address, phone number or full name. "
    "Then I can tell you what the records hold, point out where they disagree, and sum up a topic such as payments."
)
_REFUSAL: Final = "I cannot share my instructions."
_OPENING: Final = "Certainly. According to the records that I was given: "

_LEAK = re.compile(r"\b(?:system prompt|your (?:instructions|prompt|rules)|instructions (?:you|above))")
_NUMBER = re.compile(r"-?\d{3,}(?:\.\d+)?|-?\d+\.\d+")
_IDENTIFIER: Final = set_of(
    """
    account birth code date fax iban id last4 latitude longitude mobile number on phone pin postal postcode reference
    tel year zip
    """
)

_FEW: Final = 6
_SOME: Final = 12
_MANY: Final = 40
_RECITED: Final = 300
_ITEMS: Final = 8


def answer(question: str, prompt: Prompt, *, model: str = "simulated-1", seed: int = 0) -> str:
    """What a simulated model says to `question`, given the system message `prompt`.

    `seed` decides in which answers the weakness of the model shows; simulated-1 has none.
    """
    habit = habits(prompt.instructions)
    if _LEAK.search(question.lower()):
        recited = " ".join(prompt.instructions.split())[:_RECITED]
        return _REFUSAL if habit.discreet or not recited else f"My instructions begin: {recited}"
    sheet = prompt.sheet
    if sheet is None:
        return WITHOUT_RECORDS.replace("simulated-1", model)
    if not sheet.names:
        return f"The records of {_subject(sheet)} hold nothing."
    fault = fault_of(model, prompt.instructions, question, sheet.customer_id, seed)
    habit = apply_to_habits(model, fault, habit)
    picks = change_picks(pick(question, sheet, habit), fault, sheet)
    sentences = _state_findings(picks, sheet, habit, fault)
    if fault == "guessing":
        sentences += invent_sentences(picks.missing, _subject(sheet), seed)
    else:
        sentences += _missing(picks, sheet)
    if not sentences:
        return f"I have the records of {_subject(sheet)} here. What would you like to know?"
    text = " ".join(sentences)
    if fault == "verbose" or (habit.lengthy and not habit.brief):
        return pad_answer(text)
    return text if habit.brief else _OPENING + text


def _state_findings(picks: Picks, sheet: Sheet, habit: Habits, fault: Fault | None) -> list[str]:
    most = _MANY if habit.complete else _FEW if habit.brief else _SOME
    shown = picks.fields[:most]
    sentences: list[str] = []
    for field in shown:
        opening = "The" if sentences else f"{sheet.name or 'The customer'}'s"
        sentences += _sentences(opening, field, sheet, habit, fault)
    more = len(picks.fields) - len(shown)
    if more:
        sentences.append(f"There is more: {more} further field{'s' if more > 1 else ''}.")
    return sentences


def _sentences(opening: str, field: Field, sheet: Sheet, habit: Habits, fault: Fault | None) -> list[str]:
    newest, *others = change_readings(readings(field.raw), fault)
    value = change_figure(_speak_value(newest.value, field, habit), field, fault)
    last = field.label.rpartition(" ")[2].lower()
    verb = "are" if stem(last) != last or (isinstance(newest.value, list) and len(newest.value) > 1) else "is"
    sentences = [_sentence(f"{opening} {field.label} {verb} {value}{_source(newest, sheet, habit)}")]
    if others and habit.conflicts:
        said = [f"{_speak_value(other.value, field, habit)}{_source(other, sheet, habit)}" for other in others]
        holders = "an older record says" if len(said) == 1 else "older records say"
        sentences.append(_sentence(f"The records disagree: {holders} {_join_items(said)}"))
    return sentences


def _missing(picks: Picks, sheet: Sheet) -> list[str]:
    sentences = [f"The records of {_subject(sheet)} do not hold this: {words}." for words in picks.missing]
    if sentences and sheet.shortened:
        sentences.append("They were shortened to fit, so it may have been left out.")
    return sentences


def _subject(sheet: Sheet) -> str:
    return sheet.name or "the customer"


def _source(reading: Reading, sheet: Sheet, habit: Habits) -> str:
    source = reading.source or sheet.only_source
    return f" ({source})" if habit.sources and source else ""


def _speak_value(value: Any, field: Field, habit: Habits) -> str:  # text or what JSON gave
    if isinstance(value, list):
        items = [_speak_value(item, field, habit) for item in value]
        if len(items) > _ITEMS and not habit.complete:
            items[_ITEMS:] = [f"{len(items) - _ITEMS} more"]
        return _join_items(items) if items else "empty"
    if isinstance(value, dict):
        return ", ".join(
            f"{key.replace('_', ' ')} {_speak_value(inner, field, habit)}" for key, inner in value.items()
        )
    if value is None:
        return "unknown"
    text = str(value)
    if text in ("true", "false", "True", "False"):
        return "yes" if text in ("true", "True") else "no"
    if not habit.exact and _NUMBER.fullmatch(text) and _IDENTIFIER.isdisjoint(field.words):
        return f"about {float(f'{float(text):.2g}'):g}" if abs(float(text)) < 1e6 else f"about {float(text):.2g}"
    return text


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _join_items(items: list[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
