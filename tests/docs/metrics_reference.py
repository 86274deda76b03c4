"""The metrics as a Markdown table, written from the catalogue."""

from __future__ import annotations

from tilores_core.metrics import FAMILIES


def metrics_table() -> str:
    lines = ["| metric | kind | labels | meaning |", "| --- | --- | --- | --- |"]
    for family in FAMILIES:
        labels = ", ".join(f"`{label}`" for label in family.labels)
        meaning = family.help.rstrip(".").replace("|", "or")
        lines.append(f"| `{family.name}` | {family.kind} | {labels} | {meaning} |".replace("|  |", "| |"))
    return "\n".join(lines)
