"""The fenced blocks of the pages people read, and what is to be done with each.

<!-- run: shell -->      run by bash, in order, in one folder per page
<!-- run: served -->     the same, with `tilores serve` running at port 8000 of this machine
<!-- run: served; shows: 742 -->   and its output holds this
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(
    r"(?:<!-- run: (?P<run>\w+)(?:; shows: (?P<shows>[^>]+?))? -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
# Four spaces deep, behind an empty line: TOML when it begins with a table.
_INDENTED = re.compile(r"(?<=\n\n)(?P<text> {4}\[[a-z][\w.-]*\] *(?:#.*)?\n(?:(?: {4}.*)?\n)+)")


@dataclass(frozen=True, slots=True)
class Block:
    page: str
    language: str
    text: str
    run: str | None = None
    shows: str | None = None

    @property
    def title(self) -> str:
        return f"{self.page}: {self.text.strip().splitlines()[0]}"


def pages() -> list[Path]:
    front = ("README.md", "CONTRIBUTING.md", "SECURITY.md")
    return [*(ROOT / name for name in front), *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page: Path) -> list[Block]:
    name = str(page.relative_to(ROOT))
    return [
        Block(name, match["language"], match["text"], match["run"], match["shows"])
        for match in _BLOCK.finditer(page.read_text())
    ]


def toml_blocks(page: Path) -> list[Block]:
    """Fenced or indented, but no package's pyproject.toml."""
    name = str(page.relative_to(ROOT))
    indented = [
        Block(name, "toml", "".join(line[4:] or "\n" for line in match["text"].splitlines(keepends=True)))
        for match in _INDENTED.finditer(page.read_text())
    ]
    found = [block for block in blocks(page) if block.language == "toml"] + indented
    return [block for block in found if "[build-system]" not in block.text]


def all_blocks() -> list[Block]:
    return [block for page in pages() for block in blocks(page)]


def all_toml_blocks() -> list[Block]:
    return [block for page in pages() for block in toml_blocks(page)]
