"""What `tilores prompts` prints."""

from __future__ import annotations

import json as json_module
from collections.abc import Iterator, Mapping, Sequence
from difflib import unified_diff
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

from tilores_core.chat.prompts import ORDER
from tilores_core.errors import ConfigError

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
        try:
            value = Path(value[1:]).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{value[1:]} cannot be read: {type(error).__name__}", where="--part") from None
    return name, value


def difference(old: PromptVersion, new: PromptVersion) -> str:
    """Of each part that is not the same, in the form of `diff -u`; empty when all are."""
    lines: list[str] = []
    for name in _in_order({**old.parts, **new.parts}):
        one, two = (version.parts.get(name, "").strip() for version in (old, new))
        names = f"{old.number}/{name}", f"{new.number}/{name}"
        lines += unified_diff(one.splitlines(), two.splitlines(), *names, lineterm="")
    return "".join(f"{line}\n" for line in lines)


def print_rows(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json_module.dumps(rows))
        return
    table = [list(columns), *([_cell(row[column]) for column in columns] for row in rows)]
    widths = [max(len(line[place]) for line in table) for place in range(len(columns))]
    for line in table:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def print_version(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json_module.dumps(found))
        return
    for column in VERSION_COLUMNS:
        typer.echo(f"{column}: {_cell(found[column], widest=1_000)}".rstrip())
    for name in _in_order(found["parts"]):
        typer.echo(f"\n[{name}]\n{found['parts'][name].strip()}")


def print_checks(checks: Sequence[Check], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json_module.dumps({"checks": [check.as_row() for check in checks]}))
        return
    for check in checks:
        typer.echo(f"{check.result:8} {check.name:11} {check.said}")


def print_deployment(done: Deployment, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json_module.dumps(done.as_row()))
        return
    print_checks(done.checks, as_json=False)
    before = "" if done.before is None else f", before: {done.before}"
    typer.echo(f"{done.label} is version {done.number}{before}")


def print_new(number: int, is_new: bool, *, as_json: bool) -> None:
    said = f"version {number} is made" if is_new else f"nothing is different from version {number}"
    print_done({"version": number, "new": is_new}, said, as_json=as_json)


def print_done(row: Mapping[str, Any], said: str, *, as_json: bool) -> None:
    typer.echo(json_module.dumps(row) if as_json else said)


def _in_order(parts: Mapping[str, str]) -> Iterator[str]:
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
