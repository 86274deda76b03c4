"""The executable schema of an instance: its SDL without what its version does not have, with resolvers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from graphql import GraphQLSchema, build_ast_schema, parse
from graphql.language import (
    DocumentNode,
    InputObjectTypeDefinitionNode,
    ObjectTypeDefinitionNode,
    TypeDefinitionNode,
)

from tests.tilores_instance.layouts import Layout

NEWEST: Final = 91
OVERSIZE_EXPLAINED: Final = 84
COMPRESSED: Final = 84

# Minor version of the server in which each came.
_FIELDS_SINCE: Final[Mapping[tuple[str, str], int]] = {
    ("Entity", "recordInsights"): 26,
    ("SearchInput", "considerRecords"): 36,
    ("EntityInput", "considerRecords"): 36,
    ("EntityByRecordInput", "considerRecords"): 36,
    ("Entity", "score"): 63,
    ("Entity", "hitScore"): 63,
    ("SearchInput", "searchRules"): 70,
    ("Query", "metrics"): 74,
    ("SearchInput", "sort"): 79,
    ("SearchOutput", "totalCount"): 86,
}
_TYPES_SINCE: Final[Mapping[str, int]] = {
    "RecordInsights": 26,
    "Metrics": 74,
    "AssemblyStatus": 74,
    "AssemblyState": 74,
}


def minor(version: str) -> int:
    """The number that counts in "v0.84", "0.84" or "0.84.2"."""
    parts = version.removeprefix("v").split(".")
    if len(parts) < 2 or parts[0] != "0" or not parts[1].isdecimal():
        raise ValueError(f"no server version: {version!r}; it looks like 0.84")
    return int(parts[1])


def build(
    layout: Layout, version: int, resolvers: Mapping[tuple[str, str], Any], scalars: Mapping[str, Any]
) -> GraphQLSchema:
    """The schema of this layout in this minor version. `scalars` maps a name to its output coercion."""
    document = parse(layout.sdl(), no_location=True)
    kept = tuple(_in_version(one, version) for one in document.definitions if _has_type(one, version))
    schema = build_ast_schema(DocumentNode(definitions=kept))
    for (type_name, field_name), resolver in resolvers.items():
        fields = getattr(schema.type_map.get(type_name), "fields", {})
        if field_name in fields:
            fields[field_name].resolve = resolver
    for name, coerce in scalars.items():
        schema.type_map[name].coerce_output_value = coerce  # type: ignore[attr-defined]  # a scalar
    return schema


def _has_type(definition: Any, version: int) -> bool:
    return not isinstance(definition, TypeDefinitionNode) or _TYPES_SINCE.get(definition.name.value, 0) <= version


def _in_version(definition: Any, version: int) -> Any:
    if not isinstance(definition, ObjectTypeDefinitionNode | InputObjectTypeDefinitionNode):
        return definition
    name = definition.name.value
    kept = tuple(one for one in definition.fields or () if _FIELDS_SINCE.get((name, one.name.value), 0) <= version)
    return replace(definition, fields=kept)  # type: ignore[arg-type]  # of the one kind or the other, as it was
