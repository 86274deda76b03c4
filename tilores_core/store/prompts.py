"""Prompt versions, which never change, and labels, which point at one of them.

Every change is one transaction with its audit entry and the topic `prompts`, which is raised first: that locks it, so
that writers of different replicas follow each other.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Final

from sqlalchemy import String, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from tilores_core.errors import ConflictError, InvalidRequestError, UnknownNameError
from tilores_core.store.audit import record
from tilores_core.store.changes import bump
from tilores_core.store.repository import Repository, read_row
from tilores_core.store.schema import fit_row, fitting, insert, make_table, now_ms
from tilores_core.store.topics import PRODUCTION, PROMPTS

_KEPT_MOVES: Final = 100
_BUILTIN_AUTHOR: Final = "tilores-core"


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptVersion:
    """An immutable version of the prompt.

    `parts`: texts by name. `parent`: the version it was made from. `scores`: what evaluations found, newest last
    by name; the only thing that is ever added to a version.
    """

    number: int
    parts: Mapping[str, str]
    author: Annotated[str, String(200)]
    reason: str
    created: datetime
    parent: int | None = None
    scores: Mapping[str, Any] = field(default_factory=dict)

    def as_row(self) -> dict[str, Any]:
        """As plain JSON, without its parts. `created`: None for the built-in prompt that is not in the database."""
        return {
            "version": self.number,
            "parent": self.parent,
            "author": self.author,
            "reason": self.reason,
            "created": self.created.isoformat(timespec="seconds") if self.created.timestamp() else None,
            "scores": dict(self.scores),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptLabel:
    """Which version a label points at. `previous`: the versions that it pointed at before, newest last."""

    name: Annotated[str, String(64)]
    number: int
    previous: tuple[int, ...]
    changed: datetime


prompt_versions = make_table("prompt_versions", PromptVersion, key=("number",))
prompt_labels = make_table("prompt_labels", PromptLabel, key=("name",))
_NEWEST: Final = select(func.max(prompt_versions.c.number))


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledPrompts:
    """One consistent state: all labels, and the versions that they point at."""

    labels: Mapping[str, PromptLabel]
    versions: Mapping[int, PromptVersion]


class Prompts(Repository):
    """Every method raises `StoreError`; what a writing one has returned from is committed."""

    # --- reading -----------------------------------------------------------------------------------------

    async def get_labelled(self) -> LabelledPrompts:
        async with self._database.read() as connection:
            labels = [read_row(PromptLabel, row) for row in await connection.execute(select(prompt_labels))]
            used = select(prompt_versions).where(prompt_versions.c.number.in_([label.number for label in labels]))
            versions = [read_row(PromptVersion, row) for row in await connection.execute(used)]
        return LabelledPrompts(
            labels={label.name: label for label in labels},
            versions={version.number: version for version in versions},
        )

    async def get(self, number: int) -> PromptVersion | None:
        return await self._first(PromptVersion, select(prompt_versions).where(prompt_versions.c.number == number))

    async def recent(self, *, limit: int = 100, before: int | None = None) -> list[PromptVersion]:
        """The newest first. `before`: older than this one."""
        statement = select(prompt_versions).order_by(prompt_versions.c.number.desc()).limit(limit)
        if before is not None:
            statement = statement.where(prompt_versions.c.number < before)
        return await self._all(PromptVersion, statement)

    # --- writing -----------------------------------------------------------------------------------------

    async def create(
        self,
        parts: Mapping[str, str],
        *,
        author: str,
        reason: str,
        parent: int | None,
        builtin: Mapping[str, str],
    ) -> PromptVersion:
        """A new version with the next number. `builtin`: the parts of version 1, which the first write adds and
        labels `production`, so that what is deployed does not change with the program.

        Raises `InvalidRequestError` when there is no such parent.
        """
        async with self._writing(builtin) as connection:
            if parent is not None and await _get(connection, parent) is None:
                raise missing(parent, await connection.scalar(_NEWEST))
            number = 1 + (await connection.scalar(_NEWEST) or 0)
            given = {"parts": dict(parts), "author": author, "reason": reason, "parent": parent}
            made = await _insert(connection, number=number, **given)
            subject, detail = f"prompts/{number}", {"parent": parent}
            await record(
                connection, actor=author, action="prompts.new", subject=subject, reason=reason, detail=detail
            )
            return made

    async def move(
        self,
        label: str,
        number: int,
        *,
        actor: str,
        reason: str,
        builtin: Mapping[str, str],
        expected: int | None,
        detail: Mapping[str, Any] | None = None,
        scores: Mapping[str, Any] | None = None,
    ) -> PromptLabel:
        """Point a label at a version. `expected`: the version that it points at now, None for a new label. `scores`:
        what an evaluation found, by name, added to the version.

        Raises `InvalidRequestError` when there is no such version, or another one has moved the label meanwhile.
        """
        async with self._writing(builtin) as connection:
            await _add_scores(connection, number, scores or {})
            before = await _get_label(connection, label)
            now = None if before is None else before.number
            if now != expected:
                raise moved_meanwhile(label, now, expected)
            previous = () if before is None else before.previous
            if before is not None and before.number != number:
                previous = (*previous, before.number)
            found = {"from": now, "to": number, **(detail or {})}
            return await _put_label(connection, label, number, previous, actor, "prompts.deploy", reason, found)

    async def roll_back(
        self,
        label: str,
        *,
        actor: str,
        reason: str,
        to: int | None = None,
        expected: int | None = None,
        detail: Mapping[str, Any] | None = None,
    ) -> PromptLabel:
        """Point a label at the version that it pointed at before; with `to` at the last time it was that one.

        `expected`: only while the label points at this version. Raises `InvalidRequestError` when it never did.
        """
        async with self._writing(None) as connection:
            before = await _get_label(connection, label)
            if before is not None and to == before.number:
                raise ConflictError(
                    f"version {to} is '{label}' already", param="to", fix="look at `tilores prompts history`"
                )
            if before is None or not before.previous:
                raise ConflictError(
                    f"'{label}' has no version before {'this one' if before is None else f'version {before.number}'}",
                    param="label",
                    fix="deploy a version instead: tilores prompts deploy N",
                )
            if expected is not None and before.number != expected:
                raise moved_meanwhile(label, before.number, expected)
            if to is not None and to not in before.previous:
                known = ", ".join(map(str, before.previous))
                raise UnknownNameError(
                    f"version {to} was never '{label}'; these were: {known}",
                    param="to",
                    fix=f"tilores prompts deploy {to}",
                )
            number = before.previous[-1] if to is None else to
            place = len(before.previous) - 1 - before.previous[::-1].index(number)
            found = {"from": before.number, "to": number, **(detail or {})}
            previous = before.previous[:place]
            return await _put_label(connection, label, number, previous, actor, "prompts.rollback", reason, found)

    async def remove_label(self, label: str, *, actor: str, reason: str) -> bool:
        """Whether there was one. Raises `InvalidRequestError` for `production`."""
        if label == PRODUCTION:
            raise InvalidRequestError("'production' cannot be removed", param="label", fix="deploy another version")
        async with self._writing(None) as connection:
            gone = await connection.execute(delete(prompt_labels).where(prompt_labels.c.name == label))
            if gone.rowcount:
                subject = f"prompts/{label}"
                await record(connection, actor=actor, action="prompts.unlabel", subject=subject, reason=reason)
            return bool(gone.rowcount)

    async def add_scores(self, number: int, scores: Mapping[str, Any]) -> None:
        """Add what an evaluation found, by name. Raises `InvalidRequestError` when there is no such version."""
        async with self._database.write() as connection:
            await _add_scores(connection, number, scores)

    @asynccontextmanager
    async def _writing(self, builtin: Mapping[str, str] | None) -> AsyncIterator[AsyncConnection]:
        async with self._database.write() as connection:
            await bump(connection, PROMPTS)
            if builtin is not None and not await connection.scalar(select(func.count()).select_from(prompt_versions)):
                why, parts = "the built-in prompt", dict(builtin)
                await _insert(connection, number=1, parts=parts, author=_BUILTIN_AUTHOR, reason=why)
                if await _get_label(connection, PRODUCTION) is None:
                    action, to = "prompts.deploy", {"from": None, "to": 1}
                    await _put_label(connection, PRODUCTION, 1, (), _BUILTIN_AUTHOR, action, why, to)
            yield connection


def moved_meanwhile(label: str, now: int | None, expected: int | None) -> ConflictError:
    return ConflictError(
        f"'{label}' was moved meanwhile: it is {_name_version(now)} and not {_name_version(expected)}",
        param="label",
        fix="look at `tilores prompts history`, then deploy again",
    )


def missing(number: int, newest: int | None) -> UnknownNameError:
    """Make the error for a version that is not there. `newest`: the number of the newest version; they are counted
    from 1 without a gap."""
    return UnknownNameError(
        f"there is no prompt version {number}: there are 1 to {newest or 1}",
        param="version",
        fix="list them: tilores prompts list",
    )


async def _insert(connection: AsyncConnection, **row: Any) -> PromptVersion:
    """A row of `prompt_versions`, created now."""
    statement = prompt_versions.insert().values(**fit_row(prompt_versions, row), scores={}, created_ms=now_ms())
    return read_row(PromptVersion, (await connection.execute(statement.returning(*prompt_versions.c))).one())


async def _put_label(
    connection: AsyncConnection,
    label: str,
    number: int,
    previous: tuple[int, ...],
    actor: str,
    action: str,
    reason: str,
    detail: Mapping[str, Any],
) -> PromptLabel:
    values = {"number": number, "previous": list(previous[-_KEPT_MOVES:]), "changed_ms": now_ms()}
    statement = insert(connection, prompt_labels).values(name=fitting(prompt_labels.c.name, label), **values)
    statement = statement.on_conflict_do_update(index_elements=[prompt_labels.c.name], set_=values)
    moved = read_row(PromptLabel, (await connection.execute(statement.returning(*prompt_labels.c))).one())
    await record(connection, actor=actor, action=action, subject=f"prompts/{label}", reason=reason, detail=detail)
    return moved


async def _get(connection: AsyncConnection, number: int, *, lock: bool = False) -> PromptVersion | None:
    statement = select(prompt_versions).where(prompt_versions.c.number == number)
    row = (await connection.execute(statement.with_for_update() if lock else statement)).first()
    return None if row is None else read_row(PromptVersion, row)


async def _add_scores(connection: AsyncConnection, number: int, scores: Mapping[str, Any]) -> None:
    found = await _get(connection, number, lock=True)
    if found is None:
        raise missing(number, await connection.scalar(_NEWEST))
    if scores:
        change = update(prompt_versions).where(prompt_versions.c.number == number)
        await connection.execute(change.values(scores={**found.scores, **scores}))


async def _get_label(connection: AsyncConnection, label: str) -> PromptLabel | None:
    row = (await connection.execute(select(prompt_labels).where(prompt_labels.c.name == label))).first()
    return None if row is None else read_row(PromptLabel, row)


def _name_version(number: int | None) -> str:
    return "without a version" if number is None else f"version {number}"
