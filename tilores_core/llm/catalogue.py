"""Models as data: a JSON file beside the plugin, and what the settings add to it.

    {"source": "where the data is from",
     "models": [{"id": "acme-small", "context_window": 128000, "max_output_tokens": 8192, "input_price": 0.1,
                 "output_price": 0.4, "vision": false, "tools": true, "json_output": true, "json_schema": true,
                 "reasoning": false, "refuses": ["seed"], "created": 1767225600}]}

Only `id` must be there. `refuses` holds OpenAI's names of parameters.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from importlib.resources import files
from typing import Any, Final

import orjson

from tilores_core.contracts import ModelInfo
from tilores_core.llm.settings import ModelSettings

_UNLISTED_KEPT: Final = 64
_DATED: Final = re.compile(r"-(?:\d{4}-?\d{2}-?\d{2}|\d{4}|latest)$")
_INFO: Final = frozenset(field.name for field in fields(ModelInfo))


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelData:
    """A model as its provider's plugin needs to know it. `listed` is False when nothing is known of it."""

    info: ModelInfo
    json_schema: bool = True
    reasoning: bool = False
    refuses: frozenset[str] = frozenset()
    listed: bool = True

    @property
    def id(self) -> str:
        return self.info.id

    @classmethod
    def read(cls, entry: Mapping[str, Any]) -> ModelData:
        """From an entry of the JSON file. Raises `TypeError` for a key that there is not."""
        own = {key: value for key, value in entry.items() if key not in _INFO}
        own["refuses"] = frozenset(own.get("refuses", ()))
        return cls(info=ModelInfo(**{key: value for key, value in entry.items() if key in _INFO}), **own)

    @classmethod
    def unknown(cls, model: str) -> ModelData:
        """A model that is not listed: everything is passed on, and the provider judges."""
        return cls(info=ModelInfo(id=model, vision=True, tools=True, json_output=True), listed=False)

    def correct(self, settings: ModelSettings) -> ModelData:
        """With what the settings say in place of what the data said."""
        given = {name: value for name, value in settings if value is not None}
        own = {name: given.pop(name) for name in ("json_schema", "reasoning", "refuses") if name in given}
        if "refuses" in own:
            own["refuses"] = frozenset(own["refuses"])
        return replace(self, info=replace(self.info, **given), listed=True, **own)


class Catalogue:
    """The models of one provider, read from the data file when first asked for."""

    def __init__(self, models: Sequence[ModelData]) -> None:
        self._models = {model.id: model for model in models}
        self._unlisted = lru_cache(_UNLISTED_KEPT)(lambda model: self.near(model) or ModelData.unknown(model))

    def configure(self, models: Mapping[str, ModelSettings], only: Sequence[str]) -> Catalogue:
        """What the settings make of it: corrected and added first, then limited to `only` when that is given."""
        known = {name: self.find(name) for name in models}
        merged = {**self._models, **{name: known[name].correct(models[name]) for name in models}}
        if only:
            found = {name: merged.get(name) or self._unlisted(name) for name in only}
            merged = {name: replace(data, listed=True) for name, data in found.items()}
        return Catalogue(tuple(merged.values()))

    def near(self, model: str) -> ModelData | None:
        """The data of the model that this is a dated version of: `gpt-4o-2024-11-20` is a `gpt-4o`. No prices: a
        dated version may cost something else."""
        base = self._models.get(_DATED.sub("", model))
        if base is None or base.id == model:
            return None
        info = replace(base.info, id=model, input_price=None, output_price=None, created=0)
        return replace(base, info=info, listed=False)

    def get(self, model: str) -> ModelData | None:
        """What is known of a model, None when it is not listed."""
        return self._models.get(model)

    def find(self, model: str) -> ModelData:
        """What is known of a model, listed or not."""
        return self._models.get(model) or self._unlisted(model)

    def infos(self, unavailable: str | None = None) -> tuple[ModelInfo, ...]:
        """To be listed; `unavailable` says what to do before they can be used."""
        if unavailable is None:
            return tuple(model.info for model in self._models.values())
        return tuple(replace(model.info, unavailable=unavailable) for model in self._models.values())

    def __len__(self) -> int:
        return len(self._models)


def load_catalogue(package: str, file: str = "models.json") -> Catalogue:
    """The catalogue in `file` of an installed `package`. Raises `ValueError` naming the file when it is damaged."""
    raw = files(package).joinpath(file).read_bytes()
    try:
        return Catalogue([ModelData.read(entry) for entry in orjson.loads(raw)["models"]])
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{package}: {file} is not a list of models: {type(error).__name__}: {error}") from None
