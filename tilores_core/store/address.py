"""Which database holds the durable state. Nothing here imports SQLAlchemy."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from pydantic import SecretStr

from tilores_core.errors import ConfigError, StoreError

FILE_NAME: Final = "state.sqlite3"
_WHERE: Final = "DATABASE_URL"
_POSTGRESQL: Final = frozenset({"postgresql", "postgres", "postgresql+asyncpg", "postgresql+psycopg"})
_SQLITE: Final = frozenset({"sqlite", "sqlite+aiosqlite"})
_FORMS: Final = "write postgresql://user:password@host:5432/name, or sqlite:///path/to/file"


@dataclass(frozen=True, slots=True)
class Address:
    """Where the database is.

    `path` is that of a SQLite file, `dsn` what PostgreSQL's driver takes; `shown` has no secret in it.
    """

    kind: Literal["sqlite", "postgresql"]
    shown: str
    path: Path = field(default=Path(), repr=False)
    dsn: SecretStr = field(default=SecretStr(""), repr=False)

    def file_exists(self) -> bool:
        """Whether SQLite's file is there. Raises `StoreError` where that cannot be told. It blocks: for a thread."""
        try:
            self.path.stat()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise self.open_error(error) from None
        return True

    def open_error(self, error: OSError) -> StoreError:
        """Return what to raise when SQLite's file, or its folder, cannot be made, opened or looked at."""
        is_file = isinstance(error, FileExistsError | NotADirectoryError)
        said = f"{self.path.parent} is not a folder" if is_file else error.strerror
        fix = "check the folder and its permissions, or set TILORES_DATA_DIR or DATABASE_URL"
        return StoreError(f"the database ({self.shown}) cannot be opened: {said}", fix=fix)


def store_address(url: SecretStr | str | None, data_dir: Path) -> Address:
    """The database of `url`; without one the SQLite file in `data_dir`. Raises `ConfigError`, never with the URL."""
    text = url.get_secret_value() if isinstance(url, SecretStr) else url or ""
    if not text.strip():
        return _file(data_dir / FILE_NAME)
    scheme, mark, rest = text.strip().partition("://")
    if mark and scheme in _SQLITE:
        return _sqlite(rest)
    if mark and scheme in _POSTGRESQL:
        return _postgresql(f"postgresql://{rest}")
    raise ConfigError("is the address of no database that is known here", where=_WHERE, fix=_FORMS)


def _file(path: Path) -> Address:
    return Address(kind="sqlite", shown=f"SQLite, {path}", path=path)


def _sqlite(rest: str) -> Address:
    """`sqlite:///relative` and `sqlite:////absolute`, as SQLAlchemy has it."""
    if not rest.startswith("/") or rest.strip("/") in {"", ":memory:"} or "?" in rest:
        fix = "write sqlite:///relative/path or sqlite:////absolute/path, and nothing behind it"
        raise ConfigError("names no SQLite file", where=_WHERE, fix=fix)
    return _file(Path(unquote(rest[1:])))


def _postgresql(dsn: str) -> Address:
    try:
        parts = urlsplit(dsn)
        port = parts.port
        # A password with one of /?# in it ends the host too early, and then passwords would be shown as paths.
        torn = "@" not in parts.netloc and "@" in dsn
    except ValueError:
        torn, parts, port = True, SplitResult("", "", "", "", ""), None
    if torn or parts.fragment or "@" in parts.path:
        fix = "percent-encode what is special in user and password: / as %2F, ? as %3F, # as %23, @ as %40"
        raise ConfigError("cannot be read as an address", where=_WHERE, fix=fix)
    query = parse_qs(parts.query)
    name = unquote(parts.path.lstrip("/")) or query.get("dbname", query.get("database", [""]))[0]
    host = parts.hostname or query.get("host", ["localhost"])[0]
    place = f"{host}:{port}" if port else host
    return Address(
        kind="postgresql", shown=f"PostgreSQL, {name or 'default database'} at {place}", dsn=SecretStr(dsn)
    )
