"""Find plugins.toml, read it, and say precisely what is wrong with it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args, get_origin

from pydantic import BaseModel, ValidationError

from tilores_core.errors import ConfigError
from tilores_core.files import read_text
from tilores_core.settings.config import Config
from tilores_core.settings.nearest import nearest, suggest

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

FILE_NAME: Final = "plugins.toml"
PACKAGED: Final = Path(__file__).resolve().parent.parent / "data" / FILE_NAME

# pydantic speaks of dictionaries and tuples; the reader of a TOML file has tables and arrays.
_WORDS: Final = {
    "dict_type": "this must be a table",
    "model_type": "this must be a table",
    "model_attributes_type": "this must be a table",
    "tuple_type": "this must be an array",
    "list_type": "this must be an array",
    "string_type": "this must be a string",
    "float_type": "this must be a number",
    "bool_type": "this must be true or false",
    "bool_parsing": "this must be true or false",
    "missing": "this is needed and not there",
}


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """plugins.toml and where it came from. `packaged`: it is the one in the wheel."""

    config: Config
    path: Path
    packaged: bool


def find_config(path: Path | None) -> Path:
    """Return `path`, else ./plugins.toml, else the packaged file. Raises `ConfigError` for what is not a file."""
    if path is None:
        path = Path(FILE_NAME)
        if not path.exists():
            return PACKAGED
    if path.is_dir():
        fix = "put the file in its place; a container makes such a folder where the file to mount is missing"
        raise ConfigError("is a folder, not a file", where=str(path), fix=fix)
    if not path.is_file():
        raise ConfigError(
            "there is no such file",
            where=str(path),
            fix="correct TILORES_CONFIG, or unset it for ./plugins.toml and then the packaged default",
        )
    return path


def load_config(path: Path | None = None) -> LoadedConfig:
    """Read plugins.toml from `path`, else the working folder, else the package.

    Raises `ConfigError` naming file, table and key of every problem found, and what would be right.
    """
    found = find_config(path)
    return LoadedConfig(config=parse_config(read_text(found), found), path=found, packaged=found == PACKAGED)


def parse_config(text: str, path: Path) -> Config:
    """The configuration that `text` holds; `path` is for messages. Raises `ConfigError`."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"not valid TOML: {error}", where=str(path), fix="correct that line") from None
    return validate_config(data, path)


def validate_config(data: Mapping[str, Any], path: Path) -> Config:
    """The configuration that the tables of `data` make. Raises `ConfigError`."""
    try:
        return Config.model_validate(dict(data))
    except ValidationError as error:
        problems = [_problem(item, data) for item in error.errors(include_input=False, include_url=False)]
        raise config_error(str(path), problems) from None


def config_error(where: str, problems: Sequence[tuple[str, str]]) -> ConfigError:
    """One error for problems given as (key, what is wrong with it)."""
    if len(problems) == 1:
        key, text = problems[0]
        return ConfigError(text, where=f"{where}: {key}", fix=f"correct '{key}' in {where}")
    lines = "".join(f"\n  {key}: {text}" for key, text in problems)
    return ConfigError(f"{len(problems)} problems{lines}", where=where, fix=f"correct them in {where}")


def describe_problem(item: ErrorDetails, known: Sequence[str], words: Mapping[str, str] = _WORDS) -> str:
    """A validation error, without the value; `known` are the keys of its table. `words`: texts by type of error, by
    default those of a TOML file."""
    kind = item["type"]
    if kind == "extra_forbidden":
        return f"unknown key; {suggest(str(item['loc'][-1]), known)}"
    return words.get(kind) or item["msg"].removeprefix("Value error, ")


def field_names(model: type[BaseModel]) -> list[str]:
    """The keys a settings model takes, as they are written in TOML."""
    return [field.alias or name for name, field in model.model_fields.items()]


def table_model(model: type[BaseModel], keys: Sequence[str | int]) -> type[BaseModel] | None:
    """The model of the table that `keys` leads to from `model`; None where there is none."""
    current: type[BaseModel] | None = model
    chosen_name = False
    for key in keys:
        if isinstance(key, int):  # a place in an array of tables
            continue
        if chosen_name:  # a name the user chose, as in [keys.NAME]
            chosen_name = False
            continue
        if current is None:
            return None
        fields = {field.alias or name: field.annotation for name, field in current.model_fields.items()}
        annotation = fields.get(key)
        kinds = [kind for kind in (annotation, *get_args(annotation)) if isinstance(kind, type)]
        current = next((kind for kind in kinds if issubclass(kind, BaseModel)), None)
        chosen_name = get_origin(annotation) is dict
    return current


def _problem(item: ErrorDetails, data: Mapping[str, Any]) -> tuple[str, str]:
    location = item["loc"]
    key = ".".join(str(part) for part in location)
    if len(location) == 1 and item["type"] == "extra_forbidden":
        return key, _unknown_top_level(str(location[0]), data)
    model = table_model(Config, location[:-1])
    return key, describe_problem(item, field_names(model) if model else ())


def _unknown_top_level(name: str, data: Mapping[str, Any]) -> str:
    known = field_names(Config)
    if not isinstance(data.get(name), Mapping):
        return f"unknown key; {suggest(name, known)}"
    match = nearest(name, known)
    if match:
        return f"unknown table; did you mean [{match}]?"
    return f"unknown table; a plugin's table is written [plugins.{name}]; known: {', '.join(sorted(known))}"
