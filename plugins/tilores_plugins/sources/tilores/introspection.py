"""The instance's own schema, asked for and made a catalogue."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

from tilores_core import SourceError
from tilores_plugins.sources.tilores import problems
from tilores_plugins.sources.tilores.catalogue import Catalogue, Leaf, Parameter, Step, shorten
from tilores_plugins.sources.tilores.problems import Fault

_TYPE = "kind name"
for _ in range(5):  # non-null list of non-null, twice
    _TYPE = f"kind name ofType {{ {_TYPE} }}"
QUERY = f"""query Schema {{
  __schema {{
    queryType {{ name }}
    types {{
      kind name
      fields {{ name description args {{ name type {{ {_TYPE} }} }} type {{ {_TYPE} }} }}
      inputFields {{ name description defaultValue type {{ {_TYPE} }} }}
      enumValues {{ name }}
      possibleTypes {{ name }}
    }}
  }}
}}"""

_MOST_LEAVES = 5_000
_MOST_PARAMETERS = 500
_MOST_CHOICES = 50
_DEEPEST = 8
_JSON_TYPES = {"Int": "integer", "Float": "number", "Boolean": "boolean", "Map": "object"}
_COMPOSITE = frozenset({"OBJECT", "INTERFACE", "UNION"})

Type = Mapping[str, Any]


def read(data: Mapping[str, Any] | None) -> Catalogue:
    """The catalogue of an introspection's data. Raises `SourceError` when it is not that of a Tilores instance."""
    try:
        return _Schema((data or {})["__schema"]).catalogue()
    except (KeyError, TypeError, AttributeError, StopIteration):
        raise problems.lasting(Fault.NO_OPERATION, what="part that we understand") from None


class _Schema:
    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._types: dict[str, Type] = {item["name"]: item for item in schema["types"]}
        self._query = schema["queryType"]["name"]

    def catalogue(self) -> Catalogue:
        search = self._field(self._query, "search")
        if search is None:
            raise problems.lasting(Fault.NO_OPERATION, what="search")
        search_input = _type_name(next(one for one in search["args"] if one["name"] == "input")["type"])
        parameters = self._field(search_input, "parameters")
        if parameters is None:
            raise problems.lasting(Fault.NO_OPERATION, what="search parameters")
        search_type = _type_name(parameters["type"])
        entity = self._entity(search)
        records = self._field(entity, "records")
        if records is None:
            raise problems.lasting(Fault.NO_OPERATION, what="records in an entity")
        leaves, cut = self._leaves(_type_name(records["type"]))
        return Catalogue(
            parameters=tuple(self._parameters(search_type)),
            leaves=leaves,
            search_type=search_type,
            entity_type=entity,
            abilities=frozenset(self._abilities(search_input, _type_name(search["type"]), entity)),
            cut=cut,
        )

    def _entity(self, search: Type) -> str:
        entities = self._field(_type_name(search["type"]), "entities")
        if entities is None:
            raise problems.lasting(Fault.NO_OPERATION, what="entities in the answer to a search")
        return _type_name(entities["type"])

    # --- the fixed part ----------------------------------------------------------------------------------------

    def _abilities(self, search_input: str, output: str, entity: str) -> Iterator[str]:
        insights = self._field(entity, "recordInsights")
        names = {"Query": self._query, "SearchOutput": output, "Entity": entity}
        if insights is not None:
            names["RecordInsights"] = _type_name(insights["type"])
        for ours, theirs in names.items():
            for field in self._fields(theirs):
                yield f"{ours}.{field['name']}"
                for argument in field.get("args") or ():
                    yield f"{ours}.{field['name']}.{argument['name']}"
        for field in self._types[search_input].get("inputFields") or ():
            yield f"SearchInput.{field['name']}"

    # --- search parameters -------------------------------------------------------------------------------------

    def _parameters(self, root: str) -> Iterator[Parameter]:
        """Inner ones too, outer ones first."""
        waiting: deque[tuple[str, tuple[str, ...], tuple[bool, ...], tuple[bool, ...]]] = deque([(root, (), (), ())])
        found = 0
        while waiting and found < _MOST_PARAMETERS:
            name, path, lists, needs = waiting.popleft()
            for field in self._types[name].get("inputFields") or ():
                kind = field["type"]
                needed = kind["kind"] == "NON_NULL" and field.get("defaultValue") is None
                here = (*path, field["name"]), (*lists, _is_list(kind)), (*needs, needed)
                inner = self._types[_type_name(kind)]
                if inner["kind"] == "INPUT_OBJECT":
                    if len(here[0]) < _DEEPEST:
                        waiting.append((inner["name"], *here))
                    continue
                found += 1
                if found > _MOST_PARAMETERS:
                    return
                description = shorten(field.get("description"))
                where, listed, wanted = here
                yield Parameter(where, _json_type(inner), inner["name"], listed, wanted, _choices(inner), description)

    # --- fields of a record ------------------------------------------------------------------------------------

    def _leaves(self, record: str) -> tuple[tuple[Leaf, ...], int]:
        """Scalars in breadth-first order, and how many were left out."""
        waiting: deque[tuple[str, tuple[Step, ...], tuple[str, ...]]] = deque([(record, (), (record,))])
        found: list[Leaf] = []
        cut = 0
        while waiting:
            name, steps, above = waiting.popleft()
            for field, on in self._selectable(name):
                inner = _type_name(field["type"])
                here = (*steps, Step(field["name"], on, _is_list(field["type"])))
                type_ = self._types[inner]
                if type_["kind"] in _COMPOSITE:
                    # A type inside itself is followed once: its inner fields would have no end.
                    if len(here) < _DEEPEST and above.count(inner) < 2 and len(waiting) < _MOST_LEAVES:
                        waiting.append((inner, here, (*above, inner)))
                elif len(found) < _MOST_LEAVES:
                    description = shorten(field.get("description"))
                    found.append(Leaf(here, _json_type(type_), inner, _choices(type_), description))
                else:
                    cut += 1
        return tuple(found), cut

    def _selectable(self, name: str) -> Iterator[tuple[Type, str | None]]:
        """Fields that can be asked for without arguments, with the type whose fragment they need."""
        own = {field["name"]: field for field in self._fields(name)}
        for field in own.values():
            if _is_plain(field):
                yield field, None
        if self._types[name]["kind"] in ("INTERFACE", "UNION"):
            for possible in sorted(self._types[name].get("possibleTypes") or (), key=lambda one: str(one["name"])):
                for field in self._fields(possible["name"]):
                    if field["name"] not in own and _is_plain(field):
                        yield field, possible["name"]

    def _fields(self, name: str) -> list[Type]:
        return [field for field in self._types[name].get("fields") or () if not field["name"].startswith("__")]

    def _field(self, name: str, wanted: str) -> Type | None:
        fields = (*self._fields(name), *(self._types[name].get("inputFields") or ()))
        return next((field for field in fields if field["name"] == wanted), None)


def _is_plain(field: Type) -> bool:
    return not any(argument["type"]["kind"] == "NON_NULL" for argument in field.get("args") or ())


def _type_name(kind: Type) -> str:
    while kind.get("ofType"):
        kind = kind["ofType"]
    name = kind["name"]
    if not isinstance(name, str):
        raise SourceError("the Tilores instance's schema nests a type too deep")
    return name


def _is_list(kind: Type) -> bool:
    while kind:
        if kind["kind"] == "LIST":
            return True
        kind = kind.get("ofType") or {}
    return False


def _json_type(type_: Type) -> str:
    return _JSON_TYPES.get(type_["name"], "string")


def _choices(type_: Type) -> tuple[str, ...]:
    return tuple(value["name"] for value in type_.get("enumValues") or ())[:_MOST_CHOICES]
