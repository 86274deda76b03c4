"""Tables on a terminal: plain columns, readable in a log and by `grep`."""

from __future__ import annotations

from collections.abc import Sequence


def columns(headings: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[str] = ()) -> str:
    """The rows under the headings, in columns as wide as their longest cell; those named in `right` to the right."""
    lines = [headings, *rows]
    widths = [max(len(line[place]) for line in lines) for place in range(len(headings))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if heading in right else cell.ljust(width)
            for heading, cell, width in zip(headings, line, widths, strict=True)
        ).rstrip()
        for line in lines
    )
