"""GraphQL over one POST, as gqlgen behind the gateway answers it."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    execute_sync,
    get_variable_values,
    parse,
    validate,
)

from tests.tilores_instance.layouts import Layout
from tests.tilores_instance.resolvers import RESOLVERS, SCALARS, Call
from tests.tilores_instance.schema import COMPRESSED, OVERSIZE_EXPLAINED, build

LIMIT_BYTES = 6 * 1024 * 1024
_ENVELOPE_BYTES = 200  # status, headers and punctuation around the body in what the function hands to the gateway


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    body: bytes
    gzipped: bool = False


class Service:
    """The schema of one layout in one version. `limit_bytes` is the most that a whole answer may take."""

    def __init__(self, layout: Layout, version: int, limit_bytes: int = LIMIT_BYTES) -> None:
        self.version = version
        self.limit_bytes = limit_bytes
        self.schema = _schema(layout, version)

    def answer(
        self, body: Mapping[str, Any], call: Call, gzip_wanted: bool, broken: Mapping[tuple[str, str], str]
    ) -> Reply:
        """Executes `{query, variables, operationName}`."""
        status, result = self._execute(body, call, broken)
        return self._pack(status, json.dumps(result, ensure_ascii=False), gzip_wanted)

    def _execute(
        self, body: Mapping[str, Any], call: Call, broken: Mapping[tuple[str, str], str]
    ) -> tuple[int, object]:
        document, errors, code = _checked(self.schema, str(body.get("query") or ""))
        if document is None:
            return 422, refused(errors, code)
        variables = body.get("variables") or {}
        name = body.get("operationName") or None
        operation = _operation(document, name)
        if operation is None:
            return 422, refused([GraphQLError(f"operation {name or ''} not found")], "GRAPHQL_VALIDATION_FAILED")
        coerced = get_variable_values(self.schema, operation.variable_definitions or (), variables)
        if isinstance(coerced, list):
            return 422, refused(coerced, "GRAPHQL_VALIDATION_FAILED")
        if not broken and not variables and _only_introspects(operation):
            return 200, _introspected(self.schema, document, name)
        result = execute_sync(
            self.schema,
            document,
            variable_values=variables,
            operation_name=name,
            context_value=call,
            middleware=[_breaking(broken)] if broken else None,
        )
        answer: dict[str, Any] = {}
        if result.errors:
            answer["errors"] = [{"message": one.message, "path": one.path} for one in result.errors]
        answer["data"] = result.data
        return 200, answer

    def _pack(self, status: int, text: str, gzip_wanted: bool) -> Reply:
        """Compressed when asked and able. Too large is told by newer servers and only fails in older ones."""
        gzipped = gzip_wanted and self.version >= COMPRESSED
        body = gzip.compress(text.encode(), 5) if gzipped else text.encode()
        inside = base64.b64encode(body) if gzipped else json.dumps(text, ensure_ascii=False).encode()
        if len(inside) + _ENVELOPE_BYTES <= self.limit_bytes:
            return Reply(status, body, gzipped)
        if self.version < OVERSIZE_EXPLAINED:
            return Reply(500, b'{"message":"Internal Server Error"}')
        message = "Response body too large: filter the records, use paging or select fewer fields"
        return Reply(400, json.dumps({"errors": [{"message": message}], "data": None}).encode())


@cache
def _schema(layout: Layout, version: int) -> GraphQLSchema:
    """It holds no state: what a resolver needs comes with the call."""
    return build(layout, version, RESOLVERS, SCALARS)


@lru_cache(maxsize=512)
def _checked(schema: GraphQLSchema, source: str) -> tuple[DocumentNode | None, list[GraphQLError], str]:
    """The document, else what is wrong with it and the code for that."""
    try:
        document = parse(source)
    except GraphQLError as error:
        return None, [error], "GRAPHQL_PARSE_FAILED"
    errors = validate(schema, document)
    return (None, errors, "GRAPHQL_VALIDATION_FAILED") if errors else (document, [], "")


def _only_introspects(operation: OperationDefinitionNode) -> bool:
    fields = operation.selection_set.selections
    return all(isinstance(one, FieldNode) and one.name.value == "__schema" for one in fields)


@lru_cache(maxsize=64)
def _introspected(schema: GraphQLSchema, document: DocumentNode, name: str | None) -> dict[str, Any]:
    """A schema does not change, and describing it takes a tenth of a second of the loop that the test shares."""
    return {"data": execute_sync(schema, document, operation_name=name).data}


def refused(errors: list[GraphQLError], code: str) -> dict[str, Any]:
    """The body of an answer to a document that was not executed."""
    rows = []
    for error in errors:
        row: dict[str, Any] = {"message": error.message}
        if error.locations:
            row["locations"] = [{"line": one.line, "column": one.column} for one in error.locations]
        rows.append({**row, "extensions": {"code": code}})
    return {"errors": rows, "data": None}


def _operation(document: DocumentNode, name: str | None) -> OperationDefinitionNode | None:
    found = [one for one in document.definitions if isinstance(one, OperationDefinitionNode)]
    if name is None:
        return found[0] if len(found) == 1 else None
    return next((one for one in found if one.name and one.name.value == name), None)


def _breaking(broken: Mapping[tuple[str, str], str]) -> Any:
    def middleware(resolve: Any, root: Any, info: Any, **arguments: Any) -> Any:
        message = broken.get((info.parent_type.name, info.field_name))
        if message is not None:
            raise GraphQLError(message)
        return resolve(root, info, **arguments)

    return middleware
