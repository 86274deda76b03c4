"""Making and reading prompt versions. While none was ever made there is version 1, the built-in prompt."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from tilores_core.chat.prompts import BUILTIN_PARTS
from tilores_core.errors import UnknownNameError
from tilores_core.release.prompt_checks import check_texts
from tilores_core.store.lazy import LazyStore
from tilores_core.store.topics import PRODUCTION, PROMPTS

if TYPE_CHECKING:
    from tilores_core.store.audit import AuditEntry
    from tilores_core.store.prompts import LabelledPrompts, PromptVersion
    from tilores_core.store.store import Store

_MOST_LISTED: Final = 1000


class PromptVersions:
    """Every method raises `StoreError`."""

    def __init__(self, store: LazyStore) -> None:
        self._store = store

    async def open(self) -> Store | None:
        """The store; None where there is no database. A SQLite file that does not exist is not made for reading."""
        address = self._store.address
        if (
            self._store.opened is None
            and address.kind == "sqlite"
            and not await asyncio.to_thread(address.file_exists)
        ):
            return None
        return await self._store.get()

    async def get_labelled(self) -> LabelledPrompts | None:
        """Labels with their versions; None while no version was ever made."""
        store = await self.open()
        found = None if store is None else await store.prompts.get_labelled()
        return found if found is not None and found.labels else None

    async def labels(self) -> dict[str, int]:
        """By label, the version's number."""
        found = await self.get_labelled()
        if found is None:
            return {PRODUCTION: 1}
        return {name: label.number for name, label in sorted(found.labels.items())}

    async def recent(self, *, limit: int = 100, before: int | None = None) -> Sequence[PromptVersion]:
        """The newest first, at most 1,000. `before`: older than this one."""
        store = await self.open()
        found = [] if store is None else await store.prompts.recent(limit=min(limit, _MOST_LISTED), before=before)
        return found if found or before is not None else [_builtin()]

    async def get(self, number: int) -> PromptVersion:
        """Raises `InvalidRequestError` when there is none."""
        from tilores_core.store.prompts import missing

        store = await self.open()
        version = None if store is None else await store.prompts.get(number)
        if version is not None:
            return version
        if number == 1:
            return _builtin()
        newest = [] if store is None else await store.prompts.recent(limit=1)
        raise missing(number, newest[0].number if newest else None)

    async def number_of(self, name: str) -> int:
        """The number that `name` means: a number, or a label. Raises `InvalidRequestError`."""
        if name.isdecimal():
            return int(name[:18])
        labels = await self.labels()
        if name not in labels:
            raise UnknownNameError(
                f"there is no label {name[:64]!r}",
                param="version",
                fix=f"give a number, or one of: {', '.join(labels)}",
            )
        return labels[name]

    async def new(
        self, parts: Mapping[str, str], *, author: str, reason: str, parent: int | None = None
    ) -> tuple[int, bool]:
        """Make a version of these parts; its number, and whether it is new: the texts of `parent` make no version.

        `parent`: by default the version in production. Raises `InvalidRequestError`.
        """
        check_texts(parts)
        if parent is None:
            parent = (await self.labels())[PRODUCTION]
        texts = _texts(parts)
        if texts == _texts((await self.get(parent)).parts):
            return parent, False
        version = await (await self._store.get()).prompts.create(
            texts, author=author, reason=reason, parent=parent, builtin=BUILTIN_PARTS
        )
        self._store.notify(PROMPTS)
        return version.number, True

    async def history(self, *, label: str | None = None, limit: int = 100) -> Sequence[AuditEntry]:
        """What was done to prompts, the newest first. `label`: to this one alone."""
        store = await self.open()
        if store is None:
            return []
        subject = None if label is None else f"prompts/{label}"
        return await store.audit.recent(area="prompts", subject=subject, limit=min(limit, _MOST_LISTED))


def _texts(parts: Mapping[str, str]) -> dict[str, str]:
    return {name: text.strip() for name, text in parts.items() if text.strip()}


def _builtin() -> PromptVersion:
    from tilores_core.store.prompts import PromptVersion

    return PromptVersion(
        number=1,
        parts=BUILTIN_PARTS,
        author="tilores-core",
        reason="the built-in prompt",
        created=datetime.fromtimestamp(0, UTC),
    )
