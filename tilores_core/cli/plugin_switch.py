"""Set `enabled` in a plugin's table of plugins.toml, keeping everything else as it was written."""

from __future__ import annotations

from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import InlineTable

from tilores_core.errors import ConfigError
from tilores_core.files import read_text, replace_file, unwritable
from tilores_core.settings.loader import FILE_NAME, PACKAGED


def set_enabled(path: Path, plugin: str, *, on: bool) -> Path:
    """Edit the file at `path` and return it. The packaged file is first copied to ./plugins.toml.

    The new file replaces the old one in one step. Raises `ConfigError` when the file cannot be read, is not TOML
    or cannot be written.
    """
    try:
        document = tomlkit.parse(read_text(path))
    except TOMLKitError as error:
        raise ConfigError(f"not valid TOML: {error}", where=str(path), fix="correct that line") from None
    _table(_table(document, "plugins", path, super_table=True), plugin, path)["enabled"] = on
    target = Path(FILE_NAME) if path == PACKAGED else path
    try:
        replace_file(target, tomlkit.dumps(document).encode(), private=False)
    except OSError as error:
        raise unwritable(target, error) from error
    return target


def _table(
    parent: MutableMapping[str, Any], name: str, path: Path, *, super_table: bool = False
) -> MutableMapping[str, Any]:
    if name not in parent:
        inline = isinstance(parent, InlineTable)  # which can hold nothing but its like
        parent[name] = tomlkit.inline_table() if inline else tomlkit.table(is_super_table=super_table)
    table = parent[name]
    if not isinstance(table, MutableMapping):
        raise ConfigError(f"'{name}' must be a table", where=str(path), fix=f"correct '{name}' in {path}")
    return table
