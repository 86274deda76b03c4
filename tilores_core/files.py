"""Files that are read with a limit, and files that are replaced as a whole."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

from tilores_core.errors import ConfigError

MEBIBYTE: Final = 1024 * 1024


def read_bytes(path: Path, *, most: int = MEBIBYTE, fix: str = "check the path and its permissions") -> bytes:
    """The whole file. Raises `ConfigError` when it cannot be read (`fix`: what to do then) or has more bytes."""
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", where=str(path), fix=fix) from error
    if len(data) > most:
        raise ConfigError(f"is larger than {most} bytes", where=str(path), fix="is it the right file?")
    return data


def read_text(path: Path, *, most: int = MEBIBYTE, fix: str = "check the path and its permissions") -> str:
    """The same as text."""
    try:
        return read_bytes(path, most=most, fix=fix).decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"is not UTF-8 at byte {error.start}", where=str(path), fix="save it as UTF-8") from None


def read_json(path: Path, *, most: int = MEBIBYTE) -> Any:
    """The same as a JSON value."""
    import orjson  # not for help

    try:
        return orjson.loads(read_bytes(path, most=most))
    except orjson.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise ConfigError(f"is not valid JSON ({place})", where=str(path), fix="correct that line") from None


def write_file(path: Path, data: bytes) -> None:
    """Raises `ConfigError`."""
    try:
        path.write_bytes(data)
    except OSError as error:
        raise unwritable(path, error) from error


def unwritable(path: Path, error: OSError) -> ConfigError:
    return ConfigError(f"cannot be written: {error.strerror}", where=str(path), fix="check path and rights")


def open_private(path: str, flags: int) -> int:
    """An `opener` for `open`: a new file is for its owner alone, since it holds customers' data."""
    return os.open(path, flags, 0o600)


def replace_file(path: Path, data: bytes, *, private: bool = True) -> None:
    """Write beside the file, then rename, so that no reader ever sees half of it; on the disk when this returns.

    A symbolic link stays one. `private`: it is for its owner alone; otherwise it keeps the rights that it had.
    Raises `OSError`.
    """
    import shutil  # not for help
    import tempfile

    real = path.resolve()
    handle, name = tempfile.mkstemp(dir=real.parent, prefix=f".{real.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if not private and real.exists():
            shutil.copymode(real, name)
        elif not private:
            os.chmod(name, 0o644)
        os.replace(name, real)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    sync_folder(real.parent)


def sync_folder(path: Path) -> None:
    """Return when the names in the folder are on the disk. Raises `OSError`."""
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
