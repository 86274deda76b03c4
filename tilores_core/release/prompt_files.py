"""A prompt version as files, to be edited and reviewed in git.

prompt.toml                     the version that the files were made from
role.md  answer_style.md  …     one file a part
guidance/credit_analysis.md  …  one file a spectrum
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import tomlkit

from tilores_core.chat.prompts import GUIDANCE
from tilores_core.errors import ConfigError, TiloresError
from tilores_core.files import read_text
from tilores_core.release.prompt_checks import LONGEST_PART, check_texts

HEAD_FILE: Final = "prompt.toml"
_MOST_FILES: Final = 100


def write_files(folder: Path, number: int, parts: Mapping[str, str], *, author: str, reason: str) -> None:
    """Write a version into `folder`; files of parts that it does not have are removed. Raises `TiloresError`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        paths = {_path(folder, name): text for name, text in parts.items()}
        for path in _part_files(folder):
            if path not in paths:
                path.unlink()
        for path, text in paths.items():
            path.parent.mkdir(exist_ok=True)
            path.write_text(text.strip() + "\n", encoding="utf-8")
        note_version(folder, number, author=author, reason=reason)
    except OSError as error:
        raise TiloresError(
            f"{folder} cannot be written: {error.strerror}", fix="check its permissions, or choose another folder"
        ) from None


def note_version(folder: Path, number: int, *, author: str, reason: str) -> None:
    """Say which version the files are of. Raises `OSError`."""
    head = "# Written by `tilores prompts pull` and `push`: the version that these files are of.\n"
    values = tomlkit.dumps({"version": number, "author": author, "reason": reason})
    (folder / HEAD_FILE).write_text(head + values, encoding="utf-8")


def read_files(folder: Path) -> tuple[dict[str, str], int | None]:
    """The parts in `folder`, and the version that they were made from, if it says so.

    Raises `ConfigError` for a file that cannot be read, `InvalidRequestError` for what is not a part.
    """
    parts: dict[str, str] = {}
    for path in _part_files(folder):
        name = path.relative_to(folder).with_suffix("").as_posix().replace("/", ".")
        parts[name] = read_text(path, most=4 * LONGEST_PART)
        if len(parts) > _MOST_FILES:
            raise ConfigError(f"there are more than {_MOST_FILES} files", where=str(folder))
    if not parts:
        fix = f"tilores prompts pull {folder} writes them"
        raise ConfigError("there are no files of a prompt", where=str(folder), fix=fix)
    check_texts(parts)
    return parts, _parent(folder / HEAD_FILE)


def _parent(path: Path) -> int | None:
    if not path.exists():
        return None
    try:
        number = tomllib.loads(read_text(path)).get("version")
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"not TOML: {error}", where=str(path)) from None
    if not isinstance(number, int) or number < 1:
        raise ConfigError("version is not the number of a version", where=str(path), fix="write version = 1")
    return number


def _path(folder: Path, name: str) -> Path:
    if name.startswith(GUIDANCE):
        return folder / "guidance" / f"{name.removeprefix(GUIDANCE)}.md"
    return folder / f"{name}.md"


def _part_files(folder: Path) -> Iterator[Path]:
    """README.md may stand beside them."""
    for place in (folder, folder / "guidance"):
        yield from sorted(path for path in place.glob("*.md") if path.name.lower() != "readme.md")
