"""Which format the file has, and what is said when it is one that cannot be read."""

from __future__ import annotations

import json
from typing import BinaryIO, Final

from tilores_core import ConfigError
from tilores_plugins.sources.file.csv_rows import CsvFormat
from tilores_plugins.sources.file.json_rows import JsonFormat, JsonLinesFormat
from tilores_plugins.sources.file.rows import BOM, Format
from tilores_plugins.sources.file.settings import Settings

_SUFFIXES: Final = {".csv": "csv", ".tsv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json"}
_SAMPLE: Final = 64 * 1024
_WIDE_BOMS: Final = (b"\xff\xfe", b"\xfe\xff")
_CONTENTS: Final = {
    b"pk\x03\x04": "a spreadsheet's workbook or another zip archive",
    b"\xd0\xcf\x11\xe0": "an old spreadsheet's workbook",
    b"\x1f\x8b": "compressed with gzip",
    b"%pdf": "a PDF",
    b"par1": "a Parquet file",
    b"sqlite format 3": "a SQLite database",
    b"<!doctype html": "an HTML page",
    b"<html": "an HTML page",
    b"<table": "an HTML page",
    b"<?xml": "XML",
}


def open_format(settings: Settings, file: BinaryIO) -> Format:
    """The file's format; the file is left at its beginning. Raises `ConfigError` when it is not one of ours."""
    kind: str | None = settings.format
    if kind == "auto":
        kind = _SUFFIXES.get(settings.path.suffix.lower())
    start = file.read(_SAMPLE)
    file.seek(0)
    _refuse_other_contents(settings, kind, start)
    if kind is None:
        raise ConfigError(
            f"the suffix {settings.path.suffix!r} names no format",
            where=str(settings.path),
            fix='name it in [plugins.file]: format = "csv", "jsonl" or "json"',
        )
    if kind == "csv":
        return CsvFormat(file, settings.path, encoding=settings.encoding, delimiter=settings.delimiter)
    if kind == "jsonl":
        return JsonLinesFormat(encoding=settings.encoding)
    return JsonFormat(encoding=settings.encoding)


def _refuse_other_contents(settings: Settings, kind: str | None, start: bytes) -> None:
    where = str(settings.path)
    head = start[:200].removeprefix(BOM).lstrip().lower()
    for beginning, what in _CONTENTS.items():
        if head.startswith(beginning):
            raise ConfigError(
                f"the file is not {kind or 'csv'}: it is {what}",
                where=where,
                fix="save it from the program that it is of as CSV UTF-8",
            )
    if start.startswith(_WIDE_BOMS) or start.count(0) * 4 > len(start):
        raise ConfigError("the file is in UTF-16", where=where, fix="save it as UTF-8")
    if kind == "json" and _holds_lines(start.removeprefix(BOM)):
        raise ConfigError(
            "the file holds JSON lines, an object a line",
            where=where,
            fix='set format = "jsonl" in [plugins.file], or name the file .jsonl',
        )


def _holds_lines(start: bytes) -> bool:
    lines = [line for line in start.split(b"\n")[:-1] if line.strip()] or start.split(b"\n")
    if len(lines) < 2 or not lines[1].lstrip().startswith(b"{"):
        return False
    try:
        return isinstance(json.loads(lines[0]), dict)
    except ValueError:
        return False
