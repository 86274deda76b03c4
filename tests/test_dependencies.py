"""The core runs with what the distribution installs without extras."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import tilores_core

CORE = Path(tilores_core.__file__).parent
LATE = {"llm/http_connection.py"}
"""Imported within functions alone, by what needs an extra."""


def installed_without_extras() -> set[str]:
    found: set[str] = set()
    waiting = [Requirement("tilores-core")]
    while waiting:
        one = waiting.pop()
        name = canonicalize_name(one.name)
        if name in found:
            continue
        found.add(name)
        try:
            lines = requires(name) or ()
        except PackageNotFoundError:  # of another platform
            continue
        for requirement in map(Requirement, lines):
            extras = one.extras or {""}
            if requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in extras):
                waiting.append(requirement)
    return found


def imported_at_once() -> Iterator[tuple[str, str]]:
    """Modules outside of the standard library that a module of the core imports when it is imported."""
    for path in sorted(CORE.rglob("*.py")):
        if path.is_relative_to(CORE / "testing") or path.relative_to(CORE).as_posix() in LATE:
            continue
        for statement in ast.parse(path.read_text()).body:
            names = [alias.name for alias in statement.names] if isinstance(statement, ast.Import) else []
            if isinstance(statement, ast.ImportFrom):
                names = [statement.module or ""]
            for name in {name.partition(".")[0] for name in names} - sys.stdlib_module_names - {"tilores_core"}:
                yield name, path.relative_to(CORE).as_posix()


def test_core_imports_only_what_is_installed_without_extras() -> None:
    installed, distributions = installed_without_extras(), packages_distributions()
    missing = [
        (name, path)
        for name, path in imported_at_once()
        if not any(canonicalize_name(one) in installed for one in distributions.get(name, ()))
    ]
    assert missing == []
