"""What `tilores prompts` prints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import unified_diff
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tilores_core.cli.output import columns, emit
from tilores_core.errors import ConfigError
from tilores_core.files import read_text

if TYPE_CHECKING:
    from tilores_core.release import Check, Deployment
    from tilores_core.store.audit import AuditEntry
    from tilores_core.store.prompts import PromptVersion

VERSION_COLUMNS: Final = ("version", "labels", "parent", "score", "author", "created", "reason")
AUDIT_COLUMNS: Final = ("at", "actor", "action", "subject", "from", "to", "reason")
_WIDEST: Final = 60


def version_row(version: PromptVersion, labels: Mapping[str, int]) -> dict[str, Any]:
    evaluation = version.scores.get("evaluation") or {}
    return {
        **version.as_row(),
        "labels": [name for name, number in labels.items() if number == version.number],
        "score": (evaluation.get("values") or {}).get("score"),
    }


def audit_row(entry: AuditEntry) -> dict[str, Any]:
    return {**entry.as_row(), "from": entry.detail.get("from"), "to": entry.detail.get("to")}


def read_part(text: str) -> tuple[str, str]:
    """`NAME=TEXT` or `NAME=@FILE`. Raises `ConfigError`."""
    name, mark, value = text.partition("=")
    if not mark:
        raise ConfigError(f"{text[:60]!r} is not NAME=TEXT", where="--part", fix="write --part role='You help …'")
    if value.startswith("@"):
        value = read_text(Path(value[1:]))
    return name, value


def difference(old: PromptVersion, new: PromptVersion) -> str:
    """Of each part that is not the same, in the form of `diff -u`; empty when all are."""
    lines: list[str] = []
    for name in _in_order({**old.parts, **new.parts}):
        one, two = (version.parts.get(name, "").strip() for version in (old, new))
        names = f"{old.number}/{name}", f"{new.number}/{name}"
        lines += unified_diff(one.splitlines(), two.splitlines(), *names, lineterm="")
    return "".join(f"{line}\n" for line in lines)


def print_rows(rows: Sequence[Mapping[str, Any]], names: Sequence[str], *, as_json: bool) -> None:
    emit(rows, columns(names, [[_cell(row[name]) for name in names] for row in rows]), as_json=as_json)


def print_version(found: dict[str, Any], *, as_json: bool) -> None:
    lines = [f"{column}: {_cell(found[column], widest=1_000)}".rstrip() for column in VERSION_COLUMNS]
    lines += [f"\n[{name}]\n{found['parts'][name].strip()}" for name in _in_order(found["parts"])]
    emit(found, "\n".join(lines), as_json=as_json)


def print_checks(checks: Sequence[Check], *, as_json: bool) -> None:
    emit({"checks": [check.as_row() for check in checks]}, _lines(checks), as_json=as_json)


def _lines(checks: Sequence[Check]) -> str:
    return "\n".join(f"{check.result:8} {check.name:11} {check.said}" for check in checks)


def print_deployment(done: Deployment, *, as_json: bool) -> None:
    before = "" if done.before is None else f", before: {done.before}"
    said = f"{done.label} is version {done.number}{before}"
    emit(done.as_row(), "\n".join(filter(None, (_lines(done.checks), said))), as_json=as_json)


def print_new(number: int, is_new: bool, *, as_json: bool) -> None:
    said = f"version {number} is made" if is_new else f"nothing is different from version {number}"
    emit({"version": number, "new": is_new}, said, as_json=as_json)


def _in_order(parts: Mapping[str, str]) -> Iterator[str]:
    from tilores_core.chat.prompts import ORDER

    yield from (name for name in ORDER if name in parts)
    yield from sorted(name for name in parts if name not in ORDER)


def _cell(value: Any, *, widest: int = _WIDEST) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.1%}"
    text = ", ".join(value) if isinstance(value, list) else str(value)
    text = " ".join(text.split())
    return text if len(text) <= widest else f"{text[: widest - 1]}…"
