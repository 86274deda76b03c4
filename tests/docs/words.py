"""Words that are not used in this project, and where a text of the product holds one.

Checked: docstrings and sentences (string literals of four words or more: help, errors, log events) of the product's
modules, names of public classes, functions and modules, and the pages of docs/.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]

PHRASES = {
    r"whom": "'whom': name the person or the thing",
    r"whoever": "'whoever': 'the caller', 'anyone who'",
    r"nobody": "'nobody': 'no caller', 'not', 'unused'",
    r"somebody": "'somebody': 'a user', 'a caller'",
    r"anew": "'anew': 'again'",
    r"of late": "'of late': 'recently', 'recent'",
    r"behind the scenes": "'behind the scenes': 'in the background'",
    r"(?<!there )(?:is|was) no (?!longer\b|more\b|less\b|other\b|way\b)": "'is no X': 'is not an X'",
    r"as it may": "'as it may': say the condition",
    r"owed": "'owed': 'pending'",
    r"stand-?ins?": "'stand-in': 'fallback' (a model) or 'fake' (a test's server)",
    r"oddit(?:y|ies)": "'oddities': 'warnings'",
    r"journeys?": "'journey': 'turn'",
    r"passengers?": "'passengers': 'waiters'",
    r"takes? off": "'take off': 'start', 'remove'",
    r"(?:is|are|was|were) told(?! apart)": "'is told': 'gets', 'receives'",
}
NAMES = frozenset({"journey", "flight", "passengers", "telling", "oddities", "owed", "outlet", "linger", "standin"})
# fmt: off
PARTICIPLES = frozenset({
    "added", "asked", "begun", "bounded", "chosen", "checked", "described", "ended", "filled",
    "folded", "found", "held", "judged", "kept", "known", "left", "listed", "looked", "made", "mapped",
    "merged", "named", "normalised", "noted", "packed", "parsed", "picked", "planned", "quoted",
    "ranked", "redacted", "refused", "said", "scored", "seen", "shown", "spoken", "stored", "told",
    "tried", "typed", "used", "worked", "written",
})
# fmt: on
"""A function's name begins with a verb: `check`, not `checked`; `list_tagged`, not `listed`."""

VOCABULARY = frozenset({ROOT / "plugins/tilores_plugins/providers/demo/words.py"})
"""Words that callers use, as data."""

_PHRASE = re.compile("|".join(rf"(?P<p{i}>\b{text}\b)" for i, text in enumerate(PHRASES)), re.IGNORECASE)
_REASONS = tuple(PHRASES.values())
_CODE = re.compile(r"^```.*?^```$|`[^`\n]+`|^ {4}\S.*$", re.DOTALL | re.MULTILINE)


def pages() -> list[Path]:
    return [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md", ROOT / ".env.template"]


def modules() -> list[Path]:
    found = [path for folder in ("tilores_core", "plugins") for path in sorted((ROOT / folder).rglob("*.py"))]
    return [path for path in found if path not in VOCABULARY]


def findings(path: Path) -> list[str]:
    """`file:line: reason` for each word in the file that is not used here."""
    name = path.relative_to(ROOT).as_posix()
    found = _in_module(path) if path.suffix == ".py" else _in_page(path)
    return [f"{name}:{line}: {reason}" for line, reason in found]


def _reasons(line: int, text: str) -> Iterator[tuple[int, str]]:
    for match in _PHRASE.finditer(text):
        yield line, _REASONS[int((match.lastgroup or "p0")[1:])]


def _in_page(path: Path) -> Iterator[tuple[int, str]]:
    """In the lines of a page without its code."""
    text = _CODE.sub(lambda match: "\n" * match[0].count("\n"), path.read_text())
    for number, line in enumerate(text.splitlines(), 1):
        yield from _reasons(number, line)


def _in_module(path: Path) -> Iterator[tuple[int, str]]:
    yield from _in_name(1, path.stem)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            yield from _in_name(node.lineno, node.name)
            if not isinstance(node, ast.ClassDef) and node.name.lstrip("_") in PARTICIPLES and not _is_exempt(node):
                yield node.lineno, f"the function {node.name!r}: its name begins with a verb"
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.count(" ") >= 3:
            yield from _reasons(node.lineno, re.sub(r"`[^`]+`", "", node.value.replace("\n", " ")))


def _is_exempt(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """A property or a fixture is what it gives."""
    return any(re.search("property|fixture", ast.unparse(decorator)) for decorator in node.decorator_list)


def _in_name(line: int, name: str) -> Iterator[tuple[int, str]]:
    plain = name.replace("InFlight", "").replace("in_flight", "")  # the field's term
    words = {word.lower() for word in re.findall(r"[A-Z]?[a-z]+", plain)} & NAMES
    if words and not name.startswith("_"):
        yield line, f"the name {name!r}: see the table of names in docs/glossary.md"
