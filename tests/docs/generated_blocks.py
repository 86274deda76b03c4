"""Parts of docs/*.md that are written by a program, between two comments.

    <!-- generated: hooks -->  …  <!-- end -->
    <!-- generated: environment -->  …  <!-- end -->
    <!-- generated: file examples/acme-cache/pyproject.toml -->  …  <!-- end -->

`python -m tests.docs.generated_blocks` writes them anew; a test says when that was forgotten.
"""

from __future__ import annotations

import re
from pathlib import Path

from tests.docs import error_reference, metrics_reference, settings_reference
from tests.docs.hook_reference import hook_reference, spec_reference

ROOT = Path(__file__).parents[2]
LANGUAGES = {".py": "python", ".toml": "toml", ".md": "markdown"}
_WRITERS = {
    "hooks": hook_reference,
    "specs": spec_reference,
    "environment": settings_reference.environment_table,
    "plugins.toml": settings_reference.config_tables,
    "plugin settings": settings_reference.plugin_tables,
    "errors": error_reference.error_table,
    "metrics": metrics_reference.metrics_table,
}
_BLOCK = re.compile(r"(<!-- generated: (?P<what>[^>]+?) -->\n).*?(<!-- end -->)", re.DOTALL)


def generate(what: str) -> str:
    """The text of the block named `what`."""
    if what in _WRITERS:
        return _WRITERS[what]()
    kind, _, name = what.partition(" ")
    if kind != "file":
        raise ValueError(f"no such block: {what}")
    path = ROOT / name
    return f"```{LANGUAGES.get(path.suffix, '')}\n{path.read_text().rstrip()}\n```"


def rewrite(text: str) -> str:
    """The page with every generated block written anew."""
    return _BLOCK.sub(lambda match: f"{match[1]}{generate(match['what'])}\n{match[3]}", text)


def pages() -> list[Path]:
    return [path for path in sorted((ROOT / "docs").glob("*.md")) if _BLOCK.search(path.read_text())]


if __name__ == "__main__":
    for page in pages():
        page.write_text(rewrite(page.read_text()))
