"""A field of a customer's records as facts: what is true now, what was true before."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from tilores_core.contracts import Customer
from tilores_core.identity import normalise_email, normalise_phone, parse_date
from tilores_core.quality.questions.golden import Fact, FactKind
from tilores_core.quality.scoring.clauses import plain_words

_ISO_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_CODE_NAME = re.compile(r"(?:.*_)?(?:id|last4|code|postcode|postal_code|zip|number|reference|iban|username)(?:_.*)?")
_PHONE_NAME = re.compile(r"(?:.*_)?(?:phone|mobile|telephone|fax)(?:_number)?")
_NAME_FIELDS: Final = frozenset(
    (
        *("customer_id", "first_name", "last_name", "full_name", "name", "middle_name", "preferred_name"),
        *("maiden_name", "title", "pronouns"),
    )
)
_UNITS: Final = (
    (re.compile(r"(?:.*_)?seconds"), "second"),
    (re.compile(r"(?:.*_)?minutes"), "minute"),
    (re.compile(r"(?:.*_)?hours"), "hour"),
    (re.compile(r"days_.*|.*_days"), "day"),
    (re.compile(r"(?:.*_)?years"), "year"),
    (re.compile(r"(?:.*_)?km"), "km"),
    (re.compile(r".*(?:_rate|_ratio|utili[sz]ation|_share|percent|_pct|_change)|probability_.*"), "percent"),
)
_MONEY: Final = re.compile(
    r".*(?:balance|amount|income|debt|spending|payment(?:_due)?|salary|fees|interest|refunds|cashback|collateral|"
    r"_limit|credit_available|credit_used|credit_limit).*"
)
_NO_MONEY: Final = re.compile(r".*(?:_trend|_change|_count|_day|_ratio|_rate|transactions|payments).*")
_FORMER: Final = ("{}_previous", "previous_{}", "{}_3m_ago", "{}_6m_ago", "{}_12m_ago")
_LONGEST_TEXT: Final = 60
_LONGEST_LIST: Final = 6


@dataclass(frozen=True, slots=True)
class FieldFacts:
    """What a right answer says of a field, and the values that were right before."""

    facts: tuple[Fact, ...]
    outdated: tuple[Fact, ...] = ()


def facts_of(customer: Customer, field: str) -> FieldFacts | None:
    """The facts that the newest record with the field states; None when it cannot be asked for.

    That is so for objects and long texts, for names (they are in the question) and where records of the same day
    disagree.
    """
    if field in _NAME_FIELDS:
        return None
    held = _list_values(customer, field)
    if not held:
        return None
    day, newest = held[0]
    facts = _facts(customer, field, newest)
    if facts is None:
        return None
    same = {fact.value for fact in facts}
    outdated: dict[str, Fact] = {}
    for other_day, value in held[1:]:
        others = _facts(customer, field, value)
        if others is None or {fact.value for fact in others} == same:
            continue
        if other_day >= day or len(facts) > 1:
            return None
        outdated.update({fact.value: replace(fact, reason="outdated") for fact in others})
    disputed = bool(outdated)
    for name in _FORMER:
        former = _list_values(customer, name.format(field))
        for fact in (_facts(customer, field, former[0][1]) or ()) if former else ():
            if fact.value not in same:
                outdated.setdefault(fact.value, replace(fact, field=name.format(field), reason="outdated"))
    if disputed:
        facts = tuple(replace(fact, disputed=True) for fact in facts)
    return FieldFacts(facts, tuple(outdated.values()))


def _list_values(customer: Customer, field: str) -> list[tuple[str, Any]]:
    """The values of a field with the day of their record, newest first."""
    records = sorted(customer.records, key=lambda record: (record.updated_at or "", record.id), reverse=True)
    found = [((record.updated_at or "")[:10], record.fields.get(field)) for record in records]
    return [(day, value) for day, value in found if value not in (None, "", [])]


def _facts(customer: Customer, field: str, value: Any) -> tuple[Fact, ...] | None:
    if isinstance(value, list):
        if len(value) > _LONGEST_LIST or not all(isinstance(item, str) for item in value):
            return None
        return tuple(_text(field, item) for item in value)
    if isinstance(value, Mapping):
        return None
    if isinstance(value, bool):
        return (Fact(field=field, value="true" if value else "false", kind="boolean"),)
    if isinstance(value, int | float):
        unit = _unit(customer, field)
        tolerance = 0.005 if isinstance(value, float) else 0.0
        return (Fact(field=field, value=_plain(value), kind="number", unit=unit, tolerance=tolerance),)
    text = str(value).strip()
    if not text or len(text) > _LONGEST_TEXT or "\n" in text:
        return None
    kind, value = _read(field, text)
    if kind == "text":
        return (_text(field, text),)
    plain = plain_words(text)
    return (Fact(field=field, value=value, kind=kind, spellings=(plain,) if kind == "code" and " " in plain else ()),)


def _read(field: str, text: str) -> tuple[FactKind, str]:
    """The kind of a text, and it in the form that facts of this kind have."""
    if _ISO_DAY.fullmatch(text[:10]) and parse_date(text[:10]):
        return "date", text[:10]
    if "@" in text and (email := normalise_email(text)):
        return "email", email
    if _PHONE_NAME.fullmatch(field.lower()) and sum(c.isdigit() for c in text) >= 7:
        return "phone", normalise_phone(text) or text
    if _CODE_NAME.fullmatch(field.lower()) and any(c.isdigit() for c in text):
        return "code", text
    return "text", text


def _text(field: str, text: str) -> Fact:
    plain = plain_words(text)
    return Fact(field=field, value=text.strip(), kind="text", spellings=(plain,) if plain and plain != text else ())


def _unit(customer: Customer, field: str) -> str:
    low = field.lower()
    for pattern, unit in _UNITS:
        if pattern.fullmatch(low):
            return unit
    if _MONEY.fullmatch(low) and not _NO_MONEY.fullmatch(low):
        held = _list_values(customer, "currency")
        return str(held[0][1]).upper() if held else ""
    return ""


def _plain(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.6f}".rstrip("0").rstrip(".")
