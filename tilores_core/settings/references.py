"""References in a plugin's table: `{ env = "NAME", default = … }` and `{ file = "path" }`, at any depth.

They are resolved once, at start-up, into a copy. An empty variable counts as one that is not set, as it does for
the host's own variables. What came from a reference is remembered, so that it can be kept out of messages.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tilores_core.errors import ConfigError
from tilores_core.files import read_text

MAX_FILE_BYTES: Final = 64 * 1024
# Shorter values (a port, "true") tell nobody anything, and blotting them out would make messages unreadable.
_SHORTEST_SECRET: Final = 5
_REFERENCE_KEYS: Final = frozenset({"env", "file"})


@dataclass(frozen=True, slots=True)
class Resolved:
    """A table with its references resolved, and the values they had."""

    values: dict[str, Any]
    secrets: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Resolver:
    plugin: str
    where: str
    folder: Path
    variables: Mapping[str, str]
    secrets: set[str]

    def resolve(self, value: Any, keys: tuple[str, ...]) -> Any:
        if isinstance(value, Mapping):
            if _REFERENCE_KEYS & value.keys():
                return self._reference(value, keys)
            return {name: self.resolve(item, (*keys, str(name))) for name, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.resolve(item, (*keys, str(index))) for index, item in enumerate(value)]
        return value

    def _reference(self, table: Mapping[str, Any], keys: tuple[str, ...]) -> Any:
        allowed = {"env", "default"} if "env" in table else {"file"}
        others = sorted(set(table) - allowed)
        if others:
            raise self._error(
                keys,
                f"a reference cannot have {', '.join(repr(name) for name in others)} beside it",
                'write { env = "NAME", default = … } or { file = "path" } and nothing else in that table',
            )
        kind = "env" if "env" in table else "file"
        name = table[kind]
        if not isinstance(name, str) or not name:
            raise self._error(keys, f"'{kind}' must be a string", f'write {{ {kind} = "…" }}')
        return self._variable(name, table, keys) if kind == "env" else self._file(name, keys)

    def _variable(self, name: str, table: Mapping[str, Any], keys: tuple[str, ...]) -> Any:
        value = self.variables.get(name)
        if value:
            self._remember(value)
            return value
        if "default" in table:
            return self.resolve(table["default"], keys)
        state = "is empty" if value == "" else "is not set"
        raise self._error(keys, f"variable {name} {state}", f'set {name}, or give {{ env = "{name}", default = … }}')

    def _file(self, name: str, keys: tuple[str, ...]) -> str:
        path = self.folder / Path(name).expanduser()
        try:
            value = read_text(path, most=MAX_FILE_BYTES).removesuffix("\n").removesuffix("\r")
        except ConfigError as error:
            raise self._error(keys, f"file {error.message}", error.fix or "") from None
        self._remember(value)
        return value

    def _remember(self, value: str) -> None:
        if len(value) >= _SHORTEST_SECRET:
            self.secrets.add(value)

    def _error(self, keys: tuple[str, ...], message: str, fix: str) -> ConfigError:
        place = ".".join(("plugins", self.plugin, *keys))
        return ConfigError(f"plugin '{self.plugin}': {message}", where=f"{self.where}: {place}", fix=fix)


def resolve_references(
    table: Mapping[str, Any], *, plugin: str, path: Path, variables: Mapping[str, str]
) -> Resolved:
    """A copy of `table`, the table of `plugin` in the file at `path`, with every reference resolved.

    A relative `file` is sought beside `path`. Raises `ConfigError` naming plugin, key path and variable or file,
    never a value.
    """
    secrets: set[str] = set()
    resolver = _Resolver(plugin, str(path), path.parent, variables, secrets)
    return Resolved(values=resolver.resolve(table, ()), secrets=frozenset(secrets))


def redact(text: str, secrets: Iterable[str]) -> str:
    """Return `text` with every one of `secrets` blotted out, the longest first."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "***")
    return text
