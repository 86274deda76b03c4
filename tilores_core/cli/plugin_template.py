"""Write a plugin package from the template in tilores_core/data/plugin_template."""

from __future__ import annotations

import re
from pathlib import Path
from string import Template
from typing import Final

from tilores_core import __version__
from tilores_core.errors import ConfigError
from tilores_core.files import unwritable

TEMPLATE: Final = Path(__file__).resolve().parent.parent / "data" / "plugin_template"

# Files end in .txt so that nobody takes them for the program's own code.
_SUFFIX: Final = ".txt"
_NAME: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_LONGEST_NAME: Final = 60


def write_package(name: str, folder: Path) -> Path:
    """Make the package `name` (a distribution name, `acme-cache`) in a new folder of that name under `folder`.

    Raises `ConfigError` when the name will not do, the folder is there already or cannot be written.
    """
    if not _NAME.fullmatch(name) or len(name) > _LONGEST_NAME:
        raise ConfigError(
            f"'{name}' cannot be the name of a plugin package",
            fix="use lower case letters, digits and single hyphens, beginning with a letter: acme-cache",
        )
    target = folder / name
    if target.exists():
        raise ConfigError(f"{target} is there already", fix="choose another name, or --in another folder")
    try:
        for path, text in render(name).items():
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            (target / path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise unwritable(target, error) from error
    return target


def render(name: str) -> dict[Path, str]:
    """The package's files: path below its folder -> text."""
    package = name.replace("-", "_")
    tier = name.removesuffix("-cache") or name
    values = {
        "distribution": name,
        "package": package,
        "name": tier,
        "class_name": "".join(part.capitalize() for part in tier.split("-")),
        "bounds": host_bounds(__version__),
    }
    files = {}
    for source in sorted(TEMPLATE.rglob(f"*{_SUFFIX}")):
        relative = source.relative_to(TEMPLATE).as_posix().removesuffix(_SUFFIX)
        path = relative.replace("src/package/", f"src/{package}/").replace("test_package", f"test_{package}")
        files[Path(path)] = Template(source.read_text(encoding="utf-8")).substitute(values)
    return files


def host_bounds(version: str) -> str:
    """The versions of tilores-core that a plugin written today may expect to work with."""
    major, minor = (int(part) for part in version.split(".")[:2])
    return f">={major}.{minor},<{major}.{minor + 1}" if major == 0 else f">={major}.{minor},<{major + 1}"
