"""The columns of a batch: their accepted names, and the values that they may hold."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tilores_core.contracts import Identifiers
from tilores_core.identity import normalise_email, normalise_phone, parse_date

NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "id": ("id", "line_id", "row_id", "request_id", "custom_id", "question_id"),
    "question": ("question", "input", "prompt", "query", "text", "message", "content"),
    "customer_id": ("customer_id", "customer", "customerid", "client_id", "client", "clientid"),
    "email": ("email", "e_mail", "email_address", "mail"),
    "phone": ("phone", "phone_number", "telephone", "tel", "mobile"),
    "name": ("name", "full_name", "customer_name", "client_name"),
    "date_of_birth": ("date_of_birth", "dob", "birth_date", "birthdate", "birthday"),
    "model": ("model", "model_name"),
}
"""Accepted column names by meaning. Case, spaces and hyphens make no difference; other columns are ignored."""

_MEANINGS = {name: meaning for meaning, names in NAMES.items() for name in names}
_LONGEST = {"id": 200, "model": 200, "question": 100_000}
_LONGEST_DEFAULT = 500
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_SEPARATORS = re.compile(r"[\W_]+")


class LineError(Exception):
    """What is wrong with one line; names the field, never its value."""


def columns(names: Sequence[str]) -> dict[str, str]:
    """The meaning of each column that has one. Raises `LineError` when two columns have the same meaning."""
    found: dict[str, str] = {}
    for name in names:
        meaning = _MEANINGS.get(_SEPARATORS.sub("_", _CAMEL.sub("_", name)).strip("_").lower())
        if meaning is None:
            continue
        if meaning in found.values():
            other = next(known for known, what in found.items() if what == meaning)
            raise LineError(f"'{other[:40]}' and '{name[:40]}' both mean {meaning}; leave one out")
        found[name] = meaning
    return found


def line_of(row: Mapping[str, Any], *, phone_region: str, day_first: bool) -> dict[str, Any]:
    """question, identifiers and model of a row, whose keys are meanings. Raises `LineError`."""
    email, phone, born = readable(row, "email"), readable(row, "phone"), readable(row, "date_of_birth")
    identifiers = Identifiers(
        customer_id=readable(row, "customer_id"),
        email=_check_value("email", email, normalise_email(email or "")),
        phone=_check_value("phone", phone, normalise_phone(phone, phone_region) if phone else None),
        name=readable(row, "name"),
        date_of_birth=_check_value("date_of_birth", born, parse_date(born or "", day_first=day_first)),
    )
    question = readable(row, "question")
    if question is None and not identifiers:
        raise LineError("neither a question nor anything that names a customer")
    return {"question": question, "identifiers": identifiers, "model": readable(row, "model")}


def readable(row: Mapping[str, Any], field: str) -> str | None:
    """The text of a field; None when it is absent or blank. Raises `LineError`."""
    value = row.get(field)
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool) and field != "question":
        value = str(value)
    if not isinstance(value, str):
        raise LineError(f"{field} must be a text")
    value = value.strip()
    longest = _LONGEST.get(field, _LONGEST_DEFAULT)
    if len(value) > longest:
        raise LineError(f"{field} is longer than {longest} characters")
    return value or None


def _check_value(field: str, given: str | None, normal: str | None) -> str | None:
    if given is not None and normal is None:
        kind = {"email": "an e-mail address", "phone": "a phone number"}.get(field, "a date")
        raise LineError(f"{field} cannot be read as {kind}")
    return normal
