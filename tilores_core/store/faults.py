"""Errors of the database as errors of ours. Its own words stay out: they may quote a value or an address."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy.exc import DBAPIError, SQLAlchemyError, TimeoutError as PoolTimeoutError

from tilores_core.errors import StoreError, StoreUnavailableError, UnstorableTextError
from tilores_core.store.address import Address

RETRY_SECONDS: Final = 1.0

_REFUSED = {
    "28": ("refuses the user", "correct user and password in DATABASE_URL"),
    "3D": ("has no such database", "create it, or correct the name in DATABASE_URL"),
    "42501": ("refuses this to the user", "let the user of DATABASE_URL create and change tables in its schema"),
    "25006": ("is read-only", "point DATABASE_URL at the primary"),
}
# Classes of SQLSTATE that pass by themselves: connection, resources, operator's intervention, conflicts.
_PASSING = ("08", "53", "57", "55P03", "40")
_NO_TEXT = ("22021", "22P05")
_SQLITE_PASSING = ("locked", "busy", "interrupted")
_SQLITE_REFUSED = {
    "disk is full": ("has no room left on the disk", "make room there"),
    "unable to open": ("cannot be opened", "check the folder and its permissions"),
    "readonly": ("cannot be written", "check the permissions of the file and its folder"),
    "not a database": ("is not a database", "move that file away, or name another one in DATABASE_URL"),
    "malformed": ("is damaged", "restore it from a backup, or move it away to start with an empty one"),
    "disk i/o": ("cannot be read from or written to the disk", "check the disk"),
}


@contextmanager
def map_errors(address: Address, *, connecting: bool = False) -> Iterator[None]:
    """What the database raises inside becomes a `StoreError`; `connecting`: any failure of the network as well."""
    try:
        yield
    except (StoreError, TimeoutError) as error:
        if isinstance(error, StoreError):
            raise
        raise unavailable(address, "does not answer in time") from error
    except SQLAlchemyError as error:
        raise _map_error(address, error) from error
    except OSError as error:
        if connecting or isinstance(error, ConnectionError):
            raise unavailable(address, "cannot be reached") from error
        raise
    except Exception as error:
        if type(error).__module__.partition(".")[0] != "asyncpg":  # raised as it is while connecting
            raise
        raise _map_sqlstate(address, getattr(error, "sqlstate", None)) from error


def unavailable(address: Address, what: str) -> StoreUnavailableError:
    busy = "end the program that holds it" if address.kind == "sqlite" else "start it, or correct DATABASE_URL"
    return StoreUnavailableError(f"the database ({address.shown}) {what}", retry_after=RETRY_SECONDS, fix=busy)


def _map_error(address: Address, error: SQLAlchemyError) -> StoreError:
    if isinstance(error, PoolTimeoutError):
        return unavailable(address, "has no free connection in time")
    if not isinstance(error, DBAPIError):
        return StoreError(f"the database ({address.shown}) was asked wrongly: {type(error).__name__}")
    if address.kind == "postgresql":
        if error.connection_invalidated:
            return unavailable(address, "broke off the connection")
        return _map_sqlstate(address, getattr(error.orig, "sqlstate", None))
    return sqlite_error(address, str(error.orig))


def _map_sqlstate(address: Address, state: str | None) -> StoreError:
    """By PostgreSQL's SQLSTATE; without one the connection itself failed."""
    if state is None or state.startswith(_PASSING):
        return unavailable(address, "does not answer now")
    if state in _NO_TEXT:
        return UnstorableTextError("a text has a zero byte, which PostgreSQL does not take", fix="remove it")
    for code, (what, fix) in _REFUSED.items():
        if state.startswith(code):
            return StoreError(f"the database ({address.shown}) {what}", fix=fix)
    return StoreError(f"the database ({address.shown}) refused a statement (SQLSTATE {state})")


def sqlite_error(address: Address, said: str) -> StoreError:
    """By the words of SQLite's message."""
    said = said.lower()
    if any(word in said for word in _SQLITE_PASSING):
        return unavailable(address, "is locked by another program")
    for words, (what, fix) in _SQLITE_REFUSED.items():
        if words in said:
            return StoreError(f"the database ({address.shown}) {what}", fix=fix)
    return StoreError(f"the database ({address.shown}) refused a statement")
