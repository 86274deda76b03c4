"""What is known of a customer, made search parameters of the instance."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from math import isfinite
from typing import Any

from tilores_core import Identifiers
from tilores_plugins.sources.tilores.catalogue import Catalogue, Parameter
from tilores_plugins.sources.tilores.names import splits
from tilores_plugins.sources.tilores.settings import Settings

Given = Mapping[str, Any]  # search parameter by its dotted name -> value

MOST_VARIANTS = 6
_MOST_NAMES = 4


@dataclass(frozen=True, slots=True)
class SearchParameters:
    """How to ask one instance. `mapping`: our identifiers -> its parameters."""

    parameters: Mapping[str, Parameter]
    mapping: Mapping[str, str]
    settings: Settings

    @classmethod
    def of(cls, catalogue: Catalogue, mapping: Mapping[str, str], settings: Settings) -> SearchParameters:
        return cls({parameter.name: parameter for parameter in catalogue.parameters}, mapping, settings)

    def variants(self, who: Identifiers) -> list[Given]:
        """Ways to search for `who`, the most telling first; none when the instance offers none."""
        emails = self._single("email", who.email)
        phones = [one for text in phone_spellings(who.phone) for one in self._single("phone", text)]
        born = self._born(who.date_of_birth)
        names = self._names(who.name)
        named = [{**name, **day} for name in names for day in born or [{}]]
        kinds = [kind for kind in (emails, phones, named or born) if kind]
        if not kinds:
            return []
        everything: dict[str, Any] = {}
        for kind in kinds:
            everything |= kind[0]
        # The strongest alone first; where no rule takes it alone, all together; then the other spellings.
        ways = [
            kinds[0][0],
            everything,
            *(kind[0] for kind in kinds[1:]),
            *(way for kind in kinds for way in kind[1:]),
        ]
        if names and born:
            ways += names[:1]
        return self._complete(ways)

    def by_customer_id(self, customer_id: str) -> list[Given]:
        return self._complete(self._single("customer_id", customer_id))

    def missing(self, given: Given) -> list[str]:
        """Parameters that the instance wants beside these."""
        paths = [tuple(name.split(".")) for name in given]
        return [
            parameter.name
            for parameter in self.parameters.values()
            if parameter.needs[-1] and parameter.name not in given and self._applies(parameter, paths)
        ]

    def variables(self, given: Given) -> dict[str, Any]:
        """The value of the parameters' input type."""
        root: dict[str, Any] = {}
        for name, value in given.items():
            parameter = self.parameters[name]
            here = root
            for step, is_list in zip(parameter.path[:-1], parameter.lists[:-1], strict=True):
                inner = here.setdefault(step, [{}] if is_list else {})
                here = inner[0] if is_list else inner
            here[parameter.path[-1]] = [value] if parameter.lists[-1] and not isinstance(value, list) else value
        return root

    # --- one identifier ----------------------------------------------------------------------------------------

    def _single(self, kind: str, text: str | None) -> list[Given]:
        name = self.mapping.get(kind)
        if not text or name is None:
            return []
        value = fitting(self.parameters[name], text)
        return [] if value is None else [{name: value}]

    def _born(self, day: str | None) -> list[Given]:
        name = self.mapping.get("date_of_birth")
        if day is None or name is None:
            return []
        try:
            parsed = date.fromisoformat(day)
        except ValueError:
            return []
        if self.parameters[name].scalar == "Time":
            return [{name: f"{parsed.isoformat()}T00:00:00Z"}]  # a date alone is refused there
        return [{name: parsed.strftime(self.settings.date_of_birth_format)}]

    def _names(self, name: str | None) -> list[Given]:
        if not name:
            return []
        first, last = self.mapping.get("first_name"), self.mapping.get("last_name")
        found: list[Given] = []
        if first and last:
            for one in splits(name)[:_MOST_NAMES]:
                found += [{first: one.first, last: one.last}] if one.first else [{last: one.last}, {first: one.last}]
        return found + self._single("name", name)

    # --- the whole ---------------------------------------------------------------------------------------------

    def _complete(self, ways: Iterable[Given]) -> list[Given]:
        """With what is always sent, without doubles and those that lack what the instance requires."""
        found: list[Given] = []
        for way in ways:
            given = {**self.settings.fixed_parameters, **way}
            if given not in found and not self.missing(given):
                found.append(given)
        return found[:MOST_VARIANTS]

    def _applies(self, parameter: Parameter, paths: list[tuple[str, ...]]) -> bool:
        """Whether all that is around the parameter is required or given."""
        return all(
            parameter.needs[depth - 1] or any(path[:depth] == parameter.path[:depth] for path in paths)
            for depth in range(1, len(parameter.path))
        )


def fitting(parameter: Parameter, value: Any) -> Any:
    """The value in the parameter's type, None when it cannot be one."""
    if isinstance(value, list):
        items = [fitting(parameter, item) for item in value]
        return items if parameter.lists[-1] and items and None not in items else None
    if parameter.choices:
        wanted = str(value).casefold()
        return next((choice for choice in parameter.choices if choice.casefold() == wanted), None)
    if parameter.type == "boolean":
        return value if isinstance(value, bool) else {"true": True, "false": False}.get(str(value).lower())
    if parameter.type in ("integer", "number"):
        try:
            number = float(value)
        except (TypeError, ValueError):
            return None
        if not isfinite(number):
            return None
        if number.is_integer() and abs(number) < 2**31:
            return int(number)
        return number if parameter.type == "number" else None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    return str(value).strip() or None


def phone_spellings(number: str | None) -> list[str]:
    """A number in E.164 as it is, then without the plus, with 00, and as it is dialled within its country."""
    if not number:
        return []
    if not number.startswith("+") or not number[1:].isdigit():
        return [number]
    import phonenumbers

    found = [number]
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return [*found, number[1:]]
    national = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.NATIONAL)
    digits = "".join(character for character in national if character.isdigit())
    return list(dict.fromkeys((*found, number[1:], digits, national, f"00{number[1:]}")))
