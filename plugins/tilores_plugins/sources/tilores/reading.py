"""Builds a `Customer` from an entity, and checks whether identifiers fit it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tilores_core import (
    Customer,
    DateOrder,
    Identifiers,
    MatchQuality,
    Record,
    best_name,
    name_fits,
    normalise_email,
    normalise_phone,
)
from tilores_plugins.sources.dates import to_date, to_instant
from tilores_plugins.sources.fields import Trait, newest_first
from tilores_plugins.sources.tilores.roles import Roles
from tilores_plugins.sources.tilores.settings import Settings
from tilores_plugins.sources.tilores.values import flat, text, texts

Entity = Mapping[str, Any]
Fields = Mapping[str, Any]

_LONGEST_DATE = 64
_SYSTEM = "tilores"


@dataclass(frozen=True, slots=True)
class Reading:
    """How records are read from a query's result.

    `scalars`: the paths that were asked for. `agreeing`: fields whose agreement is in the answer, by number.
    """

    roles: Roles
    scalars: frozenset[str]
    agreeing: tuple[str, ...]
    settings: Settings

    # --- customers ---------------------------------------------------------------------------------------------

    def customer(self, entity: Entity) -> Customer:
        """Raises `KeyError`, `TypeError` for what is not an entity."""
        insights = entity.get("recordInsights") or {}
        given = entity.get("records")
        if given is None:
            given = (insights.get("kept") or {}).get("records") or ()
        rows = [flat(record, self.scalars) for record in given if isinstance(record, Mapping)]
        entity_id = _require_text(entity["id"])
        records = [self._record(entity_id, number, fields) for number, fields in enumerate(rows, 1)]
        newest = newest_first(rows, self._moment)
        spellings = [
            (name, record.updated_at or "")
            for fields, record in zip(rows, records, strict=True)
            if (name := next(self.names(fields), None))
        ]
        return Customer(
            id=entity_id,
            name=best_name(spellings),
            records=tuple(_distinct(records)),
            traits={trait.label: said for trait in self.roles.traits if (said := self._trait(trait, newest))},
            quality=self._quality(entity, insights),
        )

    def _record(self, entity_id: str, number: int, fields: dict[str, Any]) -> Record:
        roles = self.roles
        record_id = text(fields, roles.record_id) or f"{entity_id}/{number}"
        instant = self._instant(fields)
        return Record(
            id=record_id,
            system=text(fields, roles.system) or _SYSTEM,
            fields={path: value for path, value in fields.items() if path != roles.record_id},
            updated_at=instant[1] if instant else None,
        )

    def _instant(self, fields: Fields) -> tuple[datetime, str] | None:
        written = text(fields, self.roles.updated)
        return to_instant(written[:_LONGEST_DATE], self._order) if written else None

    def _moment(self, fields: Fields) -> datetime:
        instant = self._instant(fields)
        return instant[0] if instant else datetime.min

    def _trait(self, trait: Trait, rows: Sequence[Fields]) -> str | None:
        for fields in rows:
            value = text(fields, trait.path)
            if value and (said := trait.shorten(value, self._day(value) if trait.kind == "year" else None)):
                return said
        return None

    def _quality(self, entity: Entity, insights: Mapping[str, Any]) -> MatchQuality | None:
        agree = {path: _share(insights.get(f"c{number}")) for number, path in enumerate(self.agreeing)}
        confidence = {path: share for path, share in agree.items() if share is not None}
        consistency, hit_score = _share(entity.get("consistency")), _share(entity.get("hitScore"))
        if consistency is None and hit_score is None and not confidence:
            return None
        return MatchQuality(consistency=consistency, hit_score=hit_score, confidence=confidence)

    # --- identifiers ---------------------------------------------------------------------------------------------

    def names(self, fields: Fields) -> Iterator[str]:
        for name in self.roles.names:
            parts = [text(fields, part) for part in name]
            if all(parts):
                yield " ".join(part for part in parts if part)

    def fits(self, customer: Customer, who: Identifiers) -> bool:
        """Whether some record has each of what is asked for, normalised. What no field could hold is not asked."""
        roles = self.roles
        born = (roles.born,) if roles.born else ()
        rows = [record.fields for record in customer.records]
        names = {name for row in rows for name in self.names(row)}
        return (
            (not who.email or _shows(rows, roles.emails, lambda one: normalise_email(one) == who.email))
            and (not who.phone or _shows(rows, roles.phones, lambda one: self._is_phone(one, who.phone or "")))
            and (not who.date_of_birth or _shows(rows, born, lambda one: self._day(one) == who.date_of_birth))
            and (not who.name or not roles.names or name_fits(who.name, names))
        )

    def has_customer_id(self, customer: Customer, customer_id: str) -> bool:
        """Whether some record has the number; True where no field could hold it."""
        wanted = customer_id.strip().casefold()
        rows = [record.fields for record in customer.records]
        return _shows(rows, self.roles.customer_ids, lambda one: one.casefold() == wanted)

    def _is_phone(self, written: str, wanted: str) -> bool:
        return normalise_phone(written, self.settings.locale.region) == wanted or _national(written, wanted)

    def _day(self, written: str) -> str | None:
        return to_date(written[:_LONGEST_DATE], self._order, birth=True)

    @property
    def _order(self) -> DateOrder:
        return "day" if self.settings.locale.day_first else "month"


def _shows(rows: Sequence[Fields], paths: Sequence[str], is_it: Callable[[str], bool]) -> bool:
    """Whether a value at one of the paths is it; True without paths."""
    return not paths or any(is_it(one) for row in rows for path in paths for one in texts(row, path))


def _national(written: str, wanted: str) -> bool:
    """Whether a number without its country's code is the wanted one: an instance has customers of one country, which
    `phone_region` may not name."""
    if written.lstrip().startswith(("+", "00")):
        return False
    digits = "".join(character for character in written if character in "0123456789").lstrip("0")
    return len(digits) >= 8 and wanted.endswith(digits) and len(wanted) - len(digits) <= 4


def _require_text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError("an entity without an id")
    return value


def _share(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return min(max(float(value), 0.0), 1.0)


def _distinct(records: Sequence[Record]) -> Iterator[Record]:
    """One of each id: of two versions the first, which is the one the instance puts first."""
    seen: set[str] = set()
    for record in records:
        if record.id not in seen:
            seen.add(record.id)
            yield record
