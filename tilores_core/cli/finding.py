"""What the doctor finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tilores_core.errors import TiloresError


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing looked at. `fix` says what to do when it is not ok."""

    part: str
    state: Literal["ok", "warning", "problem"]
    detail: str
    fix: str | None = None

    def text(self) -> str:
        line = f"{self.state:<8} {self.part}: {self.detail}"
        return f"{line}\n         fix: {self.fix}" if self.fix else line


def problem(part: str, error: TiloresError) -> Finding:
    return Finding(part=part, state="problem", detail=error.message, fix=error.fix)


def warning(part: str, text: str, fix: str) -> Finding:
    """`text` may end in a fix of its own, as the errors of tilores_core print it."""
    detail, mark, own = text.partition("\n  fix:")
    return Finding(part=part, state="warning", detail=detail.strip(), fix=own.strip() if mark else fix)
