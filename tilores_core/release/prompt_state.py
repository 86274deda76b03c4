"""Which prompts a process serves, and the copy of that in the data folder, which it serves from while the store is
down."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal

import orjson
import structlog

from tilores_core.chat.prompts import BUILTIN, build_prompt
from tilores_core.contracts import Prompt, PromptChoice
from tilores_core.files import replace_file
from tilores_core.store.topics import PRODUCTION

log = structlog.get_logger(part="release")

FILE_NAME: Final = "prompts.json"
_FORMAT: Final = 1
_MOST_BYTES: Final = 16 * 1024 * 1024

Origin = Literal["builtin", "store", "file"]


@dataclass(frozen=True, kw_only=True)
class PromptState:
    """The prompts with a label, whole and never changed: a turn sees one state or the next.

    `numbers`: by label, the version's number. `prompts`: by number. `origin`: `builtin` while no version was ever
    made, `store`, or `file` when it was read from the data folder. `known_at`: when the store said so, in seconds
    since the epoch.
    """

    production: Prompt
    numbers: Mapping[str, int]
    prompts: Mapping[int, Prompt]
    origin: Origin
    known_at: float

    @cached_property
    def choice(self) -> PromptChoice:
        """What a turn outside experiments is answered with."""
        return PromptChoice(self.production)

    @property
    def number(self) -> int:
        """The version in production."""
        return self.numbers[PRODUCTION]

    def get_labelled(self, label: str) -> Prompt | None:
        number = self.numbers.get(label)
        return None if number is None else self.prompts[number]


def builtin_state() -> PromptState:
    return PromptState(
        production=BUILTIN,
        numbers=MappingProxyType({PRODUCTION: 1}),
        prompts=MappingProxyType({1: BUILTIN}),
        origin="builtin",
        known_at=time.time(),
    )


def make_state(
    numbers: Mapping[str, int], parts: Mapping[int, Mapping[str, str]], origin: Origin, known_at: float
) -> PromptState:
    """Of labels and the parts of the versions that they point at. Raises `KeyError` when one is not there."""
    prompts = {number: build_prompt(number, parts[number]) for number in set(numbers.values())}
    return PromptState(
        production=prompts[numbers[PRODUCTION]],
        numbers=MappingProxyType(dict(numbers)),
        prompts=MappingProxyType(prompts),
        origin=origin,
        known_at=known_at,
    )


class StateFile:
    """The last state that the store gave, in the data folder: replaced as a whole, and checked when it is read."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE_NAME

    def read(self) -> PromptState | None:
        """None without a file, or with one that is damaged, which is logged."""
        try:
            with self.path.open("rb") as file:
                data = file.read(_MOST_BYTES)
        except FileNotFoundError:
            return None
        except OSError as error:
            log.warning("prompts.file_unreadable", file=str(self.path), error=error.strerror)
            return None
        try:
            digest, _, body = data.partition(b"\n")
            if digest.decode() != hashlib.sha256(body).hexdigest():
                raise ValueError("digest")
            value = orjson.loads(body)
            if value["format"] != _FORMAT:
                raise ValueError("format")
            parts = {int(number): texts for number, texts in value["versions"].items()}
            return make_state(value["labels"], parts, "file", float(value["known_at"]))
        except (ValueError, KeyError, TypeError) as error:
            log.warning("prompts.file_damaged", error=type(error).__name__)
            return None

    def write(self, state: PromptState) -> None:
        """Raises `OSError`. A state without versions removes the file."""
        if state.origin == "builtin":
            self.path.unlink(missing_ok=True)
            return
        value: dict[str, Any] = {
            "format": _FORMAT,
            "known_at": state.known_at,
            "labels": dict(state.numbers),
            "versions": {str(number): dict(prompt.parts) for number, prompt in state.prompts.items()},
        }
        body = orjson.dumps(value)
        replace_file(self.path, hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
