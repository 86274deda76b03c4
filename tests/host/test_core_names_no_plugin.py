"""tilores_core treats no plugin differently by its name: what is special is declared in specs and contracts."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).parents[2]
CORE = ROOT / "tilores_core"
TOOLKIT = CORE / "llm"
"""For provider plugins; what speaks OpenAI's protocol imports OpenAI's SDK when a model is made."""
DEFAULTS = CORE / "settings" / "config.py"
"""The default of `[use]`, which the packaged plugins.toml repeats."""
WORDS = {"email", "file", "files", "log", "mock", "webhook"}
"""Names of plugins that are words of the core as well: `mock` is what a spec says of a strategy."""
FRAMEWORK = {"httpx", "aiohttp", "orjson", "prometheus_client"}


def _plugins() -> dict[str, str]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        found: dict[str, str] = tomllib.load(file)["project"]["entry-points"]["tilores_core.plugins"]
    return found


def _names() -> set[str]:
    """Ids of the built-in plugins, and the names that they register."""
    names = set(_plugins())
    for target in _plugins().values():
        for hook in vars(import_module(target)).values():
            if getattr(hook, "tilores_core_impl", None) is not None:
                names |= {spec.name for spec in hook()}
    return names - WORDS


def _sdks() -> set[str]:
    """Top packages of the libraries that plugins require."""
    found = set()
    for target in _plugins().values():
        for hook in vars(import_module(target)).values():
            if getattr(hook, "tilores_core_impl", None) is not None:
                found |= {module.partition(".")[0] for spec in hook() for module in spec.requires}
    return (found | {"langsmith", "openai"}) - FRAMEWORK


def _modules() -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted(CORE.rglob("*.py")):
        if "testing" not in path.parts:
            yield path, ast.parse(path.read_text())


def _decides_by_name(tree: ast.Module, names: set[str]) -> Iterator[int]:
    """Lines where a plugin's name is compared, looked up or called for, or stands before a model's."""
    prefixes = tuple(f"{name}:" for name in names)
    for node in ast.walk(tree):
        parts: list[ast.expr] = []
        if isinstance(node, ast.Compare):
            parts = [node.left, *node.comparators]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            parts = node.args if node.func.attr in {"startswith", "get", "build", "registration"} else []
        elif isinstance(node, ast.Subscript):
            is_type = isinstance(node.value, ast.Name) and node.value.id == "Literal"
            parts = [] if is_type else [node.slice]
        elif isinstance(node, ast.Constant) and str(node.value).startswith(prefixes) and " " not in str(node.value):
            yield node.lineno
        for part in parts:
            for leaf in ast.walk(part):
                if isinstance(leaf, ast.Constant) and leaf.value in names:
                    yield leaf.lineno


def test_no_plugin_is_named_in_the_core() -> None:
    names = _names()
    assert {"demo", "redis", "threads", "langsmith"} <= names
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path, tree in _modules()
        if path != DEFAULTS
        for line in _decides_by_name(tree, names)
    ]
    assert not found


def test_no_plugin_s_library_is_imported_in_the_core() -> None:
    sdks = _sdks()
    assert {"redis", "langsmith", "openai", "distributed"} <= sdks
    found = []
    for path, tree in _modules():
        if TOOLKIT in path.parents:
            continue
        for node in ast.walk(tree):
            named = []
            if isinstance(node, ast.Import):
                named = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                named = [node.module]
            found += [f"{path.relative_to(ROOT)}: {name}" for name in named if name.split(".")[0] in sdks]
    assert not found
